"""A metric over the levels of a dial, and the one figure that its curve comes to."""

# N units  K sums of a level  L levels

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.probes.readings import Average, Reading
from sightline.eval.said import Said
from sightline.eval.statistics import Array, Figure, Tally


@dataclass(frozen=True, slots=True)
class Summary:
    """A curve as one figure: `value` in `unit`, NaN where there is none, and what it says."""

    value: float
    unit: str
    words: str


@dataclass(frozen=True, slots=True)
class OverDial:
    """What `of` says, and after its first figure what one of them at all levels comes to: a figure
    of the same answers, so that it has an interval too. It is left out where it would be that
    figure again (`Average`), or of fewer than two levels; items without a level have no part in it.

    axis: what the dial is, with its unit.
    drawn: which figure of `of` is drawn over it, from 0.
    """

    of: Metric
    axis: str
    reading: Reading
    drawn: int = 0

    @property
    def name(self) -> str:
        return self.of.name

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return self.of.scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        first, *others = self.of.tallies(items, said, scores)
        return [first, *self._read(items, said, scores), *others]

    def summary(self, curve: Sequence[tuple[float, Figure]]) -> Summary:
        """What the figure that is drawn comes to, from its values at levels that ascend. Raises
        DataError for no levels, and for any twice or out of order."""
        points = [(level, figure.value) for level, figure in curve]
        levels = [level for level, _ in points]
        if not levels or levels != sorted(set(levels)):
            raise DataError(self.axis, f"has the levels {levels}", "give each once, ascending")
        if any(math.isnan(value) for _, value in points):
            words = "There is a level without a figure, so that the curve comes to none."
            return Summary(math.nan, self.reading.unit, words)
        scale = 100 if self._percent else 1
        return Summary(
            scale * self.reading.value(points), self.reading.unit, self.reading.words(points)
        )

    def told(self, curve: Sequence[tuple[float, Figure]]) -> str:
        """The same, in words alone."""
        return self.summary(curve).words

    @property
    def _percent(self) -> bool:
        return self.reading.unit in ("%", "points")

    def _read(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        at: dict[float, list[int]] = {}
        for number, item in enumerate(items):
            if item.level is not None:
                at.setdefault(item.level, []).append(number)
        if len(at) < 2 or isinstance(self.reading, Average):
            return []
        levels = sorted(at)
        rows = [[(items[n], said[n], scores[n]) for n in at[level]] for level in levels]
        parts = [self.of.tallies(*map(list, zip(*row, strict=True)))[self.drawn] for row in rows]
        clusters = tuple(cluster for part in parts for cluster in part.clusters)
        better = self.reading.higher_is_better
        value = _Value(self.reading, tuple(levels), parts[0])
        return [
            Tally(self.reading.name, side_by_side(parts), clusters, value, self._percent, better)
        ]


@dataclass(frozen=True, slots=True)
class _Value:
    """Sums float64[..., L · K] -> what the values of the levels come to; NaN where one has none."""

    reading: Reading
    levels: tuple[float, ...]
    of: Tally

    def __call__(self, sums: Array) -> Array:
        by_level = np.split(sums, len(self.levels), axis=-1)
        values = np.stack([self.of.value(part) for part in by_level], axis=-1)
        return np.apply_along_axis(self._read, -1, values)

    def _read(self, values_L: Array) -> float:
        if np.isnan(values_L).any():
            return math.nan
        return self.reading.value(list(zip(self.levels, values_L.tolist(), strict=True)))


def side_by_side(parts: Sequence[Tally]) -> Array:
    """float64[N, L · K]: the rows of each level in columns of its own."""
    width = parts[0].rows_NK.shape[1]
    rows = np.zeros((sum(len(part.rows_NK) for part in parts), len(parts) * width))
    top = 0
    for number, part in enumerate(parts):
        rows[top : top + len(part.rows_NK), number * width : (number + 1) * width] = part.rows_NK
        top += len(part.rows_NK)
    return rows
