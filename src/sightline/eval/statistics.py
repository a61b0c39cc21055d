"""Figures with their uncertainty: everything is resampled by clusters, items of one picture.

What is here:
- `figure`: a value with its interval, from a bootstrap over clusters.
- `paired`: the difference of two figures of the same units, with its interval and p.
- `mcnemar`: the exact test of two lists of right and wrong, for items that are independent.
"""

# N units  K sums  C clusters  U types of clusters, equal in their sums  R resamples

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.eval.resample import bootstrapped, swapped

Array = NDArray[np.float64]
RESAMPLES = 1000
PERMUTATIONS = 9999
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """A figure as a function of sums, so that any resample of its units can be computed.

    Attributes:
        name: `accuracy`, `F1`, `mean error`.
        rows_NK: float64, what each unit adds to the sums.
        clusters: of each unit.
        value: sums float64[..., K] -> float64[...]; NaN where it is undefined.
        percent: whether it is a share, shown in per cent.
        higher_is_better: False of error rates; None of figures that are neither (a yes-share).
    """

    name: str
    rows_NK: Array
    clusters: tuple[str, ...]
    value: Callable[[Array], Array]
    percent: bool = True
    higher_is_better: bool | None = True


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval, over `count` units in `clusters` clusters."""

    name: str
    value: float
    low: float
    high: float
    count: int
    clusters: int
    percent: bool = True
    higher_is_better: bool | None = True


@dataclass(frozen=True, slots=True)
class Difference:
    """One value minus another with its 95 % interval, and p of no difference, two-sided."""

    value: float
    low: float
    high: float
    p: float
    count: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Discordant:
    """Items that only the first, and only the second has right, and p of an even share."""

    first: int
    second: int
    p: float


def mean_tally(
    name: str, scores: Sequence[float], clusters: Sequence[str], *, percent: bool = True
) -> Tally:
    """The mean of the scores."""
    return share_tally(name, scores, [1.0] * len(scores), clusters, percent=percent)


def share_tally(
    name: str,
    parts: Sequence[float],
    wholes: Sequence[float],
    clusters: Sequence[str],
    *,
    percent: bool = True,
) -> Tally:
    """The sum of `parts` over the sum of `wholes`; NaN where the latter is 0."""
    rows_NK = np.stack([np.asarray(parts, np.float64), np.asarray(wholes, np.float64)], axis=-1)
    return Tally(name, rows_NK.reshape(-1, 2), tuple(clusters), ratio, percent)


def ratio(sums_2: Array) -> Array:
    """First over second; NaN where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums_2[..., 1] != 0, sums_2[..., 0] / sums_2[..., 1], np.nan)


def figure(tally: Tally, *, seed: int = 0, resamples: int = RESAMPLES) -> Figure:
    """The value and its percentile interval from a bootstrap over clusters (Efron 1979; Field and
    Welsh 2007). Resamples in which the figure is undefined are left out.

    One cluster alone has no interval: its bounds are NaN. Intervals of few clusters are too narrow
    (of 10: about nine in ten cover the truth), and a figure without any spread (all right) has one
    of no width. The same seed gives the same bytes; the order of clusters does not matter.
    """
    sums_CK = cluster_sums(tally.rows_NK, tally.clusters)
    value = float(tally.value(sums_CK.sum(0)))
    low, high = _interval(tally.value, sums_CK, resamples, seed)
    count, clusters = len(tally.rows_NK), len(sums_CK)
    return Figure(
        tally.name, value, low, high, count, clusters, tally.percent, tally.higher_is_better
    )


def paired(
    first: Tally,
    second: Tally,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
) -> Difference:
    """One figure of the same units under two conditions: the first minus the second.

    The interval is that of `figure`, both values from the same resamples. p is two-sided, from
    random exchanges of the conditions of whole clusters (Noreen 1989; Yeh 2000), which is exact
    where the conditions do not matter, for figures of any kind and few clusters too: the share of
    exchanges with a difference at least as large, the one that was seen among them (Phipson and
    Smyth 2010), so that it is never 0. Exchanges in which the figure is undefined count as large.
    Without any difference p is 1. All is NaN where either value is undefined.

    Raises DataError for tallies of other units, clusters or sums.
    """
    _check_pair(first, second)
    width = first.rows_NK.shape[-1]
    rows_N2K = np.concatenate([first.rows_NK, second.rows_NK], axis=-1)
    sums_C2K = cluster_sums(rows_N2K, first.clusters)

    def differences(sums: Array) -> Array:
        return first.value(sums[..., :width]) - second.value(sums[..., width:])

    total_2K = sums_C2K.sum(0)
    value, count = float(differences(total_2K)), len(first.rows_NK)
    if math.isnan(value):
        return Difference(value, value, value, value, count, len(sums_C2K))
    low, high = _interval(differences, sums_C2K, resamples, seed)
    scale = max(abs(float(first.value(total_2K[:width]))), abs(value))
    values_R = np.abs(differences(swapped(sums_C2K, permutations, seed)))
    large = np.count_nonzero(~(values_R < abs(value) - 1e-9 * scale))
    p = (1 + int(large)) / (1 + permutations)
    return Difference(value, low, high, p, count, len(sums_C2K))


def _check_pair(first: Tally, second: Tally) -> None:
    if first.clusters != second.clusters or first.rows_NK.shape != second.rows_NK.shape:
        problem = f"has {first.rows_NK.shape} sums of units, the other {second.rows_NK.shape}"
        if first.rows_NK.shape == second.rows_NK.shape:
            problem = "has units of other clusters than the other"
        raise DataError(first.name, problem, "compare the same figure of the same units")


def _interval(
    value: Callable[[Array], Array], sums_CK: Array, resamples: int, seed: int
) -> tuple[float, float]:
    if len(sums_CK) < 2:
        return math.nan, math.nan
    values_R = value(bootstrapped(sums_CK, resamples, seed))
    known_R = values_R[~np.isnan(values_R)]
    if not len(known_R):
        return math.nan, math.nan
    low, high = np.quantile(known_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high


def cluster_sums(rows_NK: Array, clusters: Sequence[str]) -> Array:
    """float64[C, K], clusters in order of first appearance."""
    number: dict[str, int] = {}
    at_N = np.array([number.setdefault(name, len(number)) for name in clusters], np.int64)
    sums_KC = [np.bincount(at_N, rows_N, len(number)) for rows_N in rows_NK.T]
    return np.stack(sums_KC, axis=-1)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> Discordant:
    """The exact test of McNemar (1947): of the items that one has right and the other wrong, is
    either's share different from a half? p is two-sided, binomial.

    Items have to be independent; where several are of one picture, use `paired`. Raises DataError
    for lists of other lengths.
    """
    if len(first) != len(second):
        problem = f"has {len(first)} and {len(second)} answers"
        raise DataError("mcnemar", problem, "give the same items twice")
    pairs = Counter((bool(a), bool(b)) for a, b in zip(first, second, strict=True))
    one, other = pairs[True, False], pairs[False, True]
    return Discordant(one, other, _two_sided(min(one, other), one + other))


def _two_sided(fewer: int, count: int) -> float:
    """Twice P(X ≤ fewer) of `count` fair coins, at most 1: the largest term, then its ratios."""
    if 2 * fewer == count:
        return 1.0
    log_term = math.lgamma(count + 1) - math.lgamma(fewer + 1) - math.lgamma(count - fewer + 1)
    total, ratio = 1.0, 1.0
    for successes in range(fewer, 0, -1):
        ratio *= successes / (count - successes + 1)
        total += ratio
        if ratio < 1e-17 * total:
            break
    return min(1.0, 2 * total * math.exp(log_term - count * math.log(2)))


def mean_interval(
    scores: Sequence[float], clusters: Sequence[str] | None = None, *, seed: int = 0
) -> tuple[float, float, float]:
    """Mean and its interval (low, high); without `clusters` each score is one."""
    own = [str(number) for number in range(len(scores))] if clusters is None else clusters
    found = figure(mean_tally("mean", scores, own), seed=seed)
    return found.value, found.low, found.high


def majority(groups: Sequence[str], answers: Sequence[str]) -> float:
    """Accuracy of always giving the most frequent answer of each group."""
    by_group: dict[str, Counter[str]] = defaultdict(Counter)
    for group, answer in zip(groups, answers, strict=True):
        by_group[group][answer] += 1
    return sum(max(counts.values()) for counts in by_group.values()) / len(answers)
