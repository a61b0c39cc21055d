"""What a probe is: a task whose items carry the level of a dial, and one figure for its curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.probes.dial import OverDial, Summary
from sightline.eval.probes.readings import Reading
from sightline.eval.statistics import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A task (see `tasks.task`) drawn from a generated world, as a declaration.

    Attributes:
        name: as the command line calls it.
        title: what it finds out.
        axis: what the dial is, with its unit.
        levels: of the dial, ascending.
        unit: how many items are judged together.
        per_level: how many units there are at each level if no count is given.
        make: the items of a unit, from (seed, level, number) alone. Raises DataError for a level
            that cannot be.
        judge: says what answers are worth.
        drawn: which of its figures is drawn over the levels, from 0.
        reading: from that curve to one figure.
        max_tokens: of an answer.
        seed: of the stream of items, which is independent of those that training draws from.

    Raises DataError for levels that do not ascend, and for counts below one.
    """

    name: str
    title: str
    axis: str
    levels: tuple[float, ...]
    per_level: int
    make: Callable[[int, float, int], Sequence[Item]]
    judge: Metric
    reading: Reading
    drawn: int = 0
    unit: int = 1
    max_tokens: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        finite = all(math.isfinite(level) for level in self.levels)
        if not (self.levels and finite and list(self.levels) == sorted(set(self.levels))):
            problem = f"has the levels {self.levels}"
            raise DataError(self.name, problem, "give numbers, each once, ascending")
        if self.per_level < 1 or self.unit < 1:
            problem = f"has {self.per_level} units of {self.unit} at a level"
            raise DataError(self.name, problem, "use 1 or more")

    @property
    def metric(self) -> OverDial:
        return OverDial(self.judge, self.axis, self.reading, self.drawn)

    def items(self, count: int | None = None) -> Sequence[Item]:
        """The first `count` items, or those of `per_level` units at each level.

        Levels take turns, so that each has as many units as any other, or one more. Units come
        whole: up to the size of one less 1 may be missing. Raises DataError for a count with which
        a level would have none, and what `make` raises.
        """
        least = self.unit * len(self.levels)
        wanted = least * self.per_level if count is None else count
        if wanted < least:
            problem = f"is {wanted}, {self.name} has {len(self.levels)} levels"
            raise DataError("count", problem, f"use at least {least}, or leave it out")
        found: list[Item] = []
        for turn in range(wanted // self.unit):
            number, at = divmod(turn, len(self.levels))
            found += self.make(self.seed, self.levels[at], number)
        return found

    def summary(self, curve: Sequence[tuple[float, Figure]]) -> Summary:
        """One figure for what a report calls its curve. Raises DataError for one without levels."""
        return self.metric.summary(curve)
