"""Figures over sets of questions that are judged together, and over skills."""

# N items or sets  K kinds

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.eval.item import Item
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.choices import PairsRight
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.truths import clusters_of, neither, units_of
from sightline.eval.metrics.yes_no import yes_no_truth
from sightline.eval.said import Said
from sightline.eval.statistics import Array, Tally, mean_tally, ratio

PERCEPTION = (
    *("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark"),
    *("artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


@dataclass(frozen=True, slots=True)
class BySkill:
    """What `of` says, after the mean of its scores over kinds, each kind counting the same: the
    average of MMStar (Chen et al. 2024, as lmms-eval computes it)."""

    of: Metric

    @property
    def name(self) -> str:
        return f"{self.of.name}, by skill"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return self.of.scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        kinds = list(dict.fromkeys(item.kind for item in items))
        rows_NK2 = np.zeros((len(items), len(kinds), 2))
        for number, (item, score) in enumerate(zip(items, scores, strict=True)):
            rows_NK2[number, kinds.index(item.kind)] = score, 1
        rows_N = rows_NK2.reshape(len(items), -1)
        average = Tally("average over skills", rows_N, tuple(clusters_of(items)), _mean_of_shares)
        return [average, *self.of.tallies(items, said, scores)]


def _mean_of_shares(sums: Array) -> Array:
    """Sums float64[..., 2 K]: parts and wholes of each kind; NaN where a kind has no item."""
    shares: Array = ratio(sums.reshape(*sums.shape[:-1], -1, 2)).mean(-1)
    return shares


@dataclass(frozen=True, slots=True)
class MmeScore:
    """MME (Fu et al. 2023): of perception and of cognition, the points of their kinds added up. A
    kind has up to 100 for the share of right answers and up to 100 for the share of pictures with
    both answers right; kinds without questions have none."""

    @property
    def name(self) -> str:
        return "MME score"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return PairsRight().scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        found = [
            _points(f"{name} score", [items[n] for n in at], [scores[n] for n in at])
            for name, kinds in (("perception", PERCEPTION), ("cognition", COGNITION))
            if (at := [n for n, item in enumerate(items) if item.kind in kinds])
        ]
        return [*found, *PairsRight().tallies(items, said, scores)]


def _points(name: str, items: Sequence[Item], scores: Sequence[float]) -> Tally:
    """Each item adds its right answer and itself to two columns of its kind; the first item of a
    unit adds to two more whether all of the unit is right, and the unit."""
    kinds = list(dict.fromkeys(item.kind for item in items))
    rows_NK4 = np.zeros((len(items), len(kinds), 4))
    for unit in units_of(items):
        kind = kinds.index(items[unit[0]].kind)
        for number in unit:
            rows_NK4[number, kind, :2] = scores[number], 1
        rows_NK4[unit[0], kind, 2:] = all(scores[number] == 1 for number in unit), 1
    rows_NK = rows_NK4.reshape(len(items), -1)
    return Tally(name, rows_NK, tuple(clusters_of(items)), _points_of, percent=False)


def _points_of(sums: Array) -> Array:
    """Sums float64[..., 4 K] -> points of all kinds; NaN where one has no item."""
    shares = ratio(sums.reshape(*sums.shape[:-1], -1, 2))
    points: Array = 100 * shares.sum(-1)
    return points


@dataclass(frozen=True, slots=True)
class Hallusion:
    """HallusionBench (Guan et al. 2024): the share of answers that are right (aAcc), of figures
    with all their answers right (fAcc), and of questions that are right about all their figures
    (qAcc). Figures are clusters, questions are groups, and sets of both are units.

    An answer of neither yes nor no is wrong, but for questions that are asked without a figure:
    there not to know is right, as in its script, and they belong to no figure.
    """

    @property
    def name(self) -> str:
        return "HallusionBench accuracies"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [float(_right(item, one)) for item, one in zip(items, said, strict=True)]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        units = [item.unit or item.key for item in items]
        shown = [number for number, item in enumerate(items) if item.media]
        unclear = [float(yes_or_no(one.text) is None) for one in said]
        found = [
            mean_tally("aAcc", scores, units),
            _all_right("fAcc", items, scores, shown, lambda item: item.cluster or item.key),
            _all_right("qAcc", items, scores, range(len(items)), lambda i: i.group or i.key),
        ]
        return [*found, neither(mean_tally("unparsed", unclear, units))]


def _right(item: Item, said: Said) -> bool:
    heard = yes_or_no(said.text)
    return heard == yes_no_truth(item) or (heard is None and not item.media)


def _all_right(
    name: str,
    items: Sequence[Item],
    scores: Sequence[float],
    numbers: Sequence[int],
    set_of: Callable[[Item], str],
) -> Tally:
    """The share of sets with every answer right, among the items of these numbers."""
    sets: dict[str, list[int]] = {}
    for number in numbers:
        sets.setdefault(set_of(items[number]), []).append(number)
    right = [float(all(scores[number] == 1 for number in each)) for each in sets.values()]
    first = [items[each[0]] for each in sets.values()]
    return mean_tally(name, right, [item.unit or item.key for item in first])
