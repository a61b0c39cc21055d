"""Options, and whether a sentence is judged right about everything it was written for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.eval.item import Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.metrics.truths import all_right
from sightline.eval.said import Said
from sightline.eval.statistics import Tally


@dataclass(frozen=True, slots=True)
class Consistency:
    """1 for the right option, by its letter or words. Besides, the share of units (NLVR2: the pairs
    of pictures that one sentence is asked of) of which every answer is right, as Suhr et al. 2019
    (arXiv:1811.00491) define it."""

    @property
    def name(self) -> str:
        return "accuracy and consistency"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return ByLetter().scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        accuracy, *others = ByLetter().tallies(items, said, scores)
        return [accuracy, all_right("consistency", items, scores), *others]
