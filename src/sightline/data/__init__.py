"""Samples, sources, mixing, packing and collation; worlds with exact ground truth."""
