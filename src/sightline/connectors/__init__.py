"""Bridges from vision features to the width of the language model."""
