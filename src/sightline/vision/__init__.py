"""From pixels to a grid of feature vectors."""
