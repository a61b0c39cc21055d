"""Figures with their uncertainty."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


def mean_interval(
    scores: Sequence[float], *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean and its bootstrap percentile interval (low, high); items are independent pictures."""
    values = np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(resamples, len(values)))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def majority(groups: Sequence[str], answers: Sequence[str]) -> float:
    """Accuracy of always giving the most frequent answer of each group."""
    by_group: dict[str, Counter[str]] = defaultdict(Counter)
    for group, answer in zip(groups, answers, strict=True):
        by_group[group][answer] += 1
    return sum(counts.most_common(1)[0][1] for counts in by_group.values()) / len(answers)
