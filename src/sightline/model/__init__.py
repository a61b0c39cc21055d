"""A spec made into modules, and the way from messages to an answer."""
