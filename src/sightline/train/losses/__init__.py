"""Losses: each gives a sum over what it counts, so that batches of any size add up."""
