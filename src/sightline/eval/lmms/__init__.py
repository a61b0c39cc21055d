"""Sightline as a model of lmms-eval, which imports this package through its entry point."""
