"""Layers that every part is made of. Torch begins here."""
