"""Counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.amounts import first_number
from sightline.eval.metrics.truths import answers_of, clusters_of, lower_is_better, neither
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally, share_tally


@dataclass(frozen=True, slots=True)
class Count:
    """1 for the right number. Says too how far off the numbers are that were said; an answer
    without one is wrong, not within one, and counted as unparsed."""

    @property
    def name(self) -> str:
        return "count"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [float(error == 0) for error in _errors(items, said)]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        errors = _errors(items, said)
        clusters = clusters_of(items)
        read = [float(error is not None) for error in errors]
        near = [float(error is not None and error <= 1) for error in errors]
        off = [error or 0.0 for error in errors]
        return [
            mean_tally("accuracy", scores, clusters),
            mean_tally("within one", near, clusters),
            lower_is_better(share_tally("mean error", off, read, clusters, percent=False)),
            neither(mean_tally("unparsed", [1 - one for one in read], clusters)),
        ]


def _errors(items: Sequence[Item], said: Sequence[Said]) -> list[float | None]:
    """How far each number said is from the nearest truth; None where none was said."""
    found: list[float | None] = []
    for item, one in zip(items, said, strict=True):
        truths = [_truth(item, text) for text in answers_of(item)]
        number = first_number(one.text)
        found.append(None if number is None else min(abs(number - truth) for truth in truths))
    return found


def _truth(item: Item, text: str) -> float:
    number = first_number(text)
    if number is None:
        raise DataError(item.key, f"has the answer {text!r}, which is no number", "give a number")
    return number
