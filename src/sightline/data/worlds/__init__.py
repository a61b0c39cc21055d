"""Synthetic worlds: endless pictures whose ground truth is exact."""
