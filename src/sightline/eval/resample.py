"""Sums of resampled clusters: drawn with replacement, or with two conditions exchanged.

Clusters that are equal in their sums are of one type. Where types are few (a share of right
answers), how often each is drawn is drawn at once; where they are many, cluster by cluster, in
chunks. Memory is bounded either way; both draw from the same distribution.
"""

# C clusters  U types or clusters  K sums  R resamples

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Drawn = NDArray[Any]  # whole numbers, [R, U]

_CHUNK = 1 << 16  # clusters drawn at once
_DRAWS = 16  # drawing how often a type comes takes as long as drawing so many clusters


def bootstrapped(sums_CK: Array, resamples: int, seed: int) -> Array:
    """float64[R, K]: sums over as many clusters as there are, drawn with replacement."""
    rng, clusters = np.random.default_rng(seed), len(sums_CK)

    def of_types(count_U: Counts, chunk: int) -> Drawn:
        return rng.multinomial(clusters, count_U / clusters, size=chunk)

    def of_each(chunk: int) -> Drawn:
        at_RC = rng.integers(0, clusters, (chunk, clusters))
        at_RC += np.arange(chunk)[:, None] * clusters
        return np.bincount(at_RC.ravel(), minlength=at_RC.size).reshape(chunk, clusters)

    return _resampled(sums_CK, resamples, of_types, of_each)


def swapped(sums_C2K: Array, permutations: int, seed: int) -> Array:
    """float64[R, 2 · K]: sums of two conditions, exchanged in each cluster or not, evenly."""
    rng, width = np.random.default_rng(seed), sums_C2K.shape[-1] // 2
    gained_CK = sums_C2K[:, width:] - sums_C2K[:, :width]
    matter_C, matter_K = gained_CK.any(1), gained_CK.any(0)
    clusters = np.count_nonzero(matter_C)

    def of_types(count_U: Counts, chunk: int) -> Drawn:
        return rng.binomial(count_U, 0.5, size=(chunk, len(count_U)))

    def of_each(chunk: int) -> Drawn:
        bytes_RB = rng.integers(0, 256, (chunk, -(-clusters // 8)), dtype=np.uint8)
        return np.unpackbits(bytes_RB, axis=1, count=clusters)

    gained_RK = np.zeros((permutations, width))
    gained_RK[:, matter_K] = _resampled(
        gained_CK[matter_C][:, matter_K], permutations, of_types, of_each
    )
    sums_R2K: Array = sums_C2K.sum(0) + np.concatenate([gained_RK, -gained_RK], axis=1)
    return sums_R2K


def _resampled(
    sums_CK: Array,
    resamples: int,
    of_types: Callable[[Counts, int], Drawn],
    of_each: Callable[[int], Drawn],
) -> Array:
    """float64[R, K]: sums over what is drawn, of types if they are few, else of each cluster.

    Clusters are sorted by their sums first: their order does not matter.
    """
    sorted_CK = sums_CK[np.lexsort(sums_CK.T)] if sums_CK.size else sums_CK
    begins_C = np.ones(len(sums_CK), bool)
    begins_C[1:] = (sorted_CK[1:] != sorted_CK[:-1]).any(1)
    count_U = np.diff(np.flatnonzero(begins_C), append=len(sums_CK))
    few = len(count_U) * _DRAWS <= len(sums_CK)
    rows_UK = sorted_CK[begins_C] if few else sorted_CK
    out_RK = np.empty((resamples, sums_CK.shape[1]))
    for start, stop in _chunks(resamples, len(rows_UK)):
        drawn_RU = of_types(count_U, stop - start) if few else of_each(stop - start)
        out_RK[start:stop] = _summed(drawn_RU, rows_UK)
    return out_RK


def _chunks(resamples: int, rows: int) -> Iterator[tuple[int, int]]:
    size = max(1, _CHUNK // max(1, rows))
    for start in range(0, resamples, size):
        yield start, min(start + size, resamples)


def _summed(drawn_RU: Drawn, rows_UK: Array) -> Array:
    """float64[R, K]; not by BLAS, whose sums depend on the number of threads."""
    sums_RK: Array = np.einsum("ru,ku->rk", drawn_RU, np.ascontiguousarray(rows_UK.T))
    return sums_RK
