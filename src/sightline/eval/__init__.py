"""Scores that say whether the model looks."""
