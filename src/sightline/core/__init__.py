"""Errors, config base, geometry and log: what every other package stands on."""
