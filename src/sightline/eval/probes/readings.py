"""From a curve to one figure.

A curve is pairs of a level of the dial and a value there, levels ascending. Values are shares 0..1;
a figure that is a share is one too, and shown in per cent or points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

GOOD = 0.8  # of the answers: what counts as being able to
KEPT = 0.9  # of the clean accuracy: what counts as not being hurt
ROUNDING = 1e-9  # shares that are closer are one
Points = Sequence[tuple[float, float]]


class Reading(Protocol):
    """How a curve comes to one figure."""

    @property
    def name(self) -> str:
        """Of the figure: `smallest letter read, px`."""

    @property
    def unit(self) -> str:
        """Of the figure: `px`; `%` and `points` are shares."""

    @property
    def higher_is_better(self) -> bool | None:
        """None of figures that are neither."""

    def value(self, points: Points) -> float:
        """The figure; NaN where there is none."""

    def words(self, points: Points) -> str:
        """What it says, a sentence."""


@dataclass(frozen=True, slots=True)
class Smallest:
    """The level at which a rising curve crosses half-way between chance and 1: from the best level
    downwards, between two levels by a straight line over their logarithms. The lowest level where
    all are above; NaN where none is.

    what: `letters are read`.
    """

    name: str
    unit: str
    what: str
    chance: float
    higher_is_better: bool | None = False

    @property
    def goal(self) -> float:
        return (1 + self.chance) / 2

    def value(self, points: Points) -> float:
        best = max(range(len(points)), key=lambda at: (points[at][1], at))  # the last of equal ones
        if points[best][1] < self.goal - ROUNDING:
            return math.nan
        for at in range(best, 0, -1):
            (low, under), (high, over) = points[at - 1], points[at]
            if under < self.goal:
                share = (self.goal - under) / (over - under)
                return math.exp(math.log(low) + share * math.log(high / low))
        return points[0][0]

    def words(self, points: Points) -> str:
        value, half = self.value(points), f"{percent(self.goal)}, half-way from chance to all"
        if math.isnan(value):
            level, best = max(points, key=lambda point: point[1])
            at = f"at best {percent(best)} are right, at {level:g} {self.unit}"
            return f"{self.what.capitalize()} at no level ({half}): {at}."
        least = ", the least that was answered" if value == points[0][0] else ""
        return f"{self.what.capitalize()} down to {value:.3g} {self.unit}{least} ({half})."


@dataclass(frozen=True, slots=True)
class Largest:
    """The highest level up to which every level has `good` or more; 0 if the first has not.

    what: `counts`.
    """

    name: str
    unit: str
    what: str
    good: float = GOOD
    higher_is_better: bool | None = True

    def value(self, points: Points) -> float:
        reached = 0.0
        for level, value in points:
            if value < self.good - ROUNDING:
                break
            reached = level
        return reached

    def words(self, points: Points) -> str:
        value, good = self.value(points), f"{percent(self.good)} right or more"
        levels = [level for level, _ in points]
        if not value:
            return f"{self.what} at no level with {good}: {_at(points[0])}."
        told = f"{self.what} up to {value:g} {self.unit} with {good}"
        if value == levels[-1]:
            return f"{told}, the most that was answered."
        return f"{told}; {_at(points[levels.index(value) + 1])}."


@dataclass(frozen=True, slots=True)
class Endured:
    """How far from its benign end the dial can go until less than nine tenths of the accuracy there
    are left; NaN where nothing is right there. dial: `{:g} of 255` writes a level."""

    name: str
    unit: str
    dial: str
    benign: Literal["low", "high"]

    @property
    def higher_is_better(self) -> bool | None:
        return self.benign == "low"

    def value(self, points: Points) -> float:
        outward = points if self.benign == "low" else points[::-1]
        endured, clean = outward[0]
        if not clean:
            return math.nan
        for level, value in outward:
            if value < KEPT * clean - ROUNDING:
                break
            endured = level
        return endured

    def words(self, points: Points) -> str:
        start, clean = points[0 if self.benign == "low" else -1]
        if not clean:
            return f"Nothing is right at {self.dial.format(start)} to begin with."
        kept = f"Keeps nine tenths of its {percent(clean)} as far as"
        return f"{kept} {self.dial.format(self.value(points))}."


@dataclass(frozen=True, slots=True)
class Spread:
    """The best level less the worst. what: `right`."""

    name: str
    what: str
    unit: str = "points"
    higher_is_better: bool | None = False

    def value(self, points: Points) -> float:
        values = [value for _, value in points]
        return max(values) - min(values)

    def words(self, points: Points) -> str:
        (low, worst), (high, best) = (
            pick(points, key=lambda point: point[1]) for pick in (min, max)
        )
        if worst == best:
            return f"{self.what}: {percent(best)} at every level."
        return f"{self.what}: {percent(worst)} at {low:g} to {percent(best)} at {high:g}."


@dataclass(frozen=True, slots=True)
class Lost:
    """The clean level, which is the first, less the worst. what: `right`."""

    name: str
    what: str
    unit: str = "points"
    higher_is_better: bool | None = False

    def value(self, points: Points) -> float:
        return points[0][1] - min(value for _, value in points)

    def words(self, points: Points) -> str:
        (first, clean), (level, worst) = points[0], min(points, key=lambda point: point[1])
        told = f"{self.what}: {percent(clean)} at {first:g}"
        return f"{told}, {percent(worst)} at {level:g}, the worst."


@dataclass(frozen=True, slots=True)
class Average:
    """The mean over the levels. what: `pairs told apart`."""

    name: str
    what: str
    unit: str = "%"
    higher_is_better: bool | None = True

    def value(self, points: Points) -> float:
        return sum(value for _, value in points) / len(points)

    def words(self, points: Points) -> str:
        (low, first), (high, last) = points[0], points[-1]
        told = f"{self.what}: {percent(self.value(points))} over all levels"
        return f"{told}, {percent(first)} at {low:g}, {percent(last)} at {high:g}."


@dataclass(frozen=True, slots=True)
class Change:
    """The last level less the first. first, last: what is true of them, in words."""

    name: str
    first: str
    last: str
    unit: str = "points"
    higher_is_better: bool | None = False

    def value(self, points: Points) -> float:
        return points[-1][1] - points[0][1]

    def words(self, points: Points) -> str:
        return f"{percent(points[0][1])} {self.first}, {percent(points[-1][1])} {self.last}."


@dataclass(frozen=True, slots=True)
class Lowest:
    """The value at the lowest level. first, last: what is true of both ends, in words."""

    name: str
    first: str
    last: str
    unit: str = "%"
    higher_is_better: bool | None = None

    def value(self, points: Points) -> float:
        return points[0][1]

    def words(self, points: Points) -> str:
        return f"{percent(points[0][1])} {self.first}, {percent(points[-1][1])} {self.last}."


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _at(point: tuple[float, float]) -> str:
    level, value = point
    return f"{percent(value)} are right at {level:g}"
