"""Answers with their scores, without those that cannot be judged."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sightline.eval.item import Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.result import Result
from sightline.eval.said import Said
from sightline.eval.statistics import Tally

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Judged:
    """Items, answers and scores, in one order.

    numbers: where each item stands in the task, from 0.
    """

    metric: Metric
    numbers: tuple[int, ...]
    items: tuple[Item, ...]
    said: tuple[Said, ...]
    scores: tuple[float, ...]

    def tallies(self) -> list[Tally]:
        """All figures of the metric; the first is the headline. There must be items."""
        return self.metric.tallies(self.items, self.said, self.scores)

    def where(self, wanted: Callable[[Item], bool]) -> Judged:
        """Some of them, with the scores that they have among all."""
        return self.at([place for place, item in enumerate(self.items) if wanted(item)])

    def by(self, key: Callable[[Item], Key]) -> dict[Key, Judged]:
        """Those of each key, in order of first appearance."""
        places: dict[Key, list[int]] = {}
        for place, item in enumerate(self.items):
            places.setdefault(key(item), []).append(place)
        return {name: self.at(found) for name, found in places.items()}

    def at(self, places: Sequence[int]) -> Judged:
        """Those that stand at these places in here."""
        return Judged(
            self.metric,
            tuple(self.numbers[place] for place in places),
            tuple(self.items[place] for place in places),
            tuple(self.said[place] for place in places),
            tuple(self.scores[place] for place in places),
        )

    def by_number(self) -> dict[int, float]:
        """The score of each item, by where it stands in the task."""
        return dict(zip(self.numbers, self.scores, strict=True))


def judged(result: Result, control: str, numbers: Sequence[int] | None = None) -> Judged:
    """These answers under a control (all that can be judged if None). What else is in the set may
    matter to a score (CIDEr weighs words by how rare they are)."""
    answers = result.said[control]
    chosen = whole(result.items, [answers]) if numbers is None else numbers
    items = tuple(result.items[number] for number in chosen)
    said = tuple(answers[number] for number in chosen)
    scores = tuple(result.metric.scores(items, said)) if items else ()
    return Judged(result.metric, tuple(chosen), items, said, scores)


def whole(items: Sequence[Item], answers: Sequence[Sequence[Said]]) -> list[int]:
    """Where items stand that have an answer in each list, as have all that they are judged with."""
    failed = {
        number
        for said in answers
        for number, (_, one) in enumerate(zip(items, said, strict=True))
        if one.failure is not None
    }
    broken = {items[number].unit for number in failed} - {""}
    return [n for n, item in enumerate(items) if n not in failed and item.unit not in broken]
