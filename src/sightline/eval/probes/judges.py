"""How answers of probes are judged: one word of a known class, pairs, and shares of yes."""

# N items  K sums

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from sightline.core.errors import DataError
from sightline.data.worlds import eye_chart, pages, scenes
from sightline.eval.item import Item
from sightline.eval.metrics.amounts import first_number
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.truths import (
    all_right,
    answers_of,
    clusters_of,
    lower_is_better,
    neither,
    units_of,
)
from sightline.eval.metrics.yes_no import YesNo, yes_no_truth
from sightline.eval.said import Said
from sightline.eval.statistics import Array, Tally, mean_tally, ratio, share_tally

SIDES = ("left", "right", "above", "below")
DEPTHS = ("front", "behind")
CLASSES: tuple[tuple[str, ...], ...] = (
    tuple(scenes.COLOURS),
    scenes.SHAPES,
    SIDES,
    DEPTHS,
    tuple(letter.lower() for letter in eye_chart.LETTERS),
    pages.WORDS,
)
_WORD = re.compile(r"[a-z]+(?:['’][a-z]+)?")


@dataclass(frozen=True, slots=True)
class OneWord:
    """1 for an answer that names the truth and nothing else of its class: `The shape is a star.`
    names one shape, `a star or a cross` names two and is wrong.

    Truths are a word of one of `CLASSES`, yes or no, or a number (the first that is said counts).
    An answer that names none or several is counted as unparsed, too.
    """

    @property
    def name(self) -> str:
        return "one word"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            float(heard(item, one.text) == true_word(item))
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        clusters = clusters_of(items)
        lost = [float(heard(item, one.text) is None) for item, one in zip(items, said, strict=True)]
        return [
            mean_tally("accuracy", scores, clusters),
            neither(mean_tally("unparsed", lost, clusters)),
        ]


@dataclass(frozen=True, slots=True)
class Together:
    """The share of units of which every answer is right; scores are of each answer alone."""

    each: Metric = OneWord()

    @property
    def name(self) -> str:
        return f"{self.each.name}, all of a unit"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return self.each.scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [all_right("pairs right", items, scores), *self.each.tallies(items, said, scores)]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Accuracy; besides, the share of units whose answers name one and the same thing, right or
    wrong. Units of one item say nothing of it."""

    @property
    def name(self) -> str:
        return "accuracy and agreement"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return OneWord().scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        accuracy, unparsed = OneWord().tallies(items, said, scores)
        clusters = clusters_of(items)
        units = [unit for unit in units_of(items) if len(unit) > 1]
        words = [{heard(items[n], said[n].text) for n in unit} for unit in units]
        same = [float(len(found) == 1 and None not in found) for found in words]
        whole = [1.0] * len(units)
        agreement = share_tally("agreement", same, whole, [clusters[unit[0]] for unit in units])
        return [accuracy, *([agreement] if units else []), unparsed]


@dataclass(frozen=True, slots=True)
class FalseYes:
    """Accuracy, and how often `yes` is said of what is not there, and of what is. An answer that is
    neither yes nor no is wrong, and no yes."""

    @property
    def name(self) -> str:
        return "accuracy and false yes"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return YesNo().scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        rows_N4, clusters = sorts_of_yes(items, said), clusters_of(items)
        hits, there, false, absent = rows_N4.T.tolist()
        accuracy, *_, unparsed = YesNo().tallies(items, said, scores)
        return [
            accuracy,
            lower_is_better(share_tally("false yes", false, absent, clusters)),
            share_tally("true yes", hits, there, clusters),
            unparsed,
        ]


@dataclass(frozen=True, slots=True)
class YesBias:
    """Accuracy, how often `yes` is said, and how well yes is told from no whatever that share is:
    d-prime of signal detection (Green and Swets 1966), in standard deviations, 0 without any
    knowledge. Counts are raised by a half, and their totals by one, so that it is finite (Hautus
    1995)."""

    @property
    def name(self) -> str:
        return "accuracy and yes-share"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return YesNo().scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        rows_N4, clusters = sorts_of_yes(items, said), tuple(clusters_of(items))
        accuracy, *_, unparsed = YesNo().tallies(items, said, scores)
        return [
            accuracy,
            neither(Tally("yes-share", rows_N4, clusters, yes_share)),
            Tally("d-prime", rows_N4, clusters, sensitivity, percent=False),
            unparsed,
        ]


def heard(item: Item, text: str) -> str | None:
    """What an answer names of the truth's class; None for nothing, or several."""
    truth = true_word(item)
    if truth in ("yes", "no"):
        return yes_or_no(text)
    if truth.isdecimal():
        number = first_number(text)
        return None if number is None else f"{number:g}"
    named = set(_WORD.findall(text.lower())) & set(_class(item, truth))
    return named.pop() if len(named) == 1 else None


def true_word(item: Item) -> str:
    """The truth in lower case."""
    return answers_of(item)[0].lower()


def _class(item: Item, truth: str) -> tuple[str, ...]:
    for words in CLASSES:
        if truth in words:
            return words
    raise DataError(item.key, f"has the answer {truth!r}, of no known class", "use another metric")


def sorts_of_yes(items: Sequence[Item], said: Sequence[Said]) -> Array:
    """float64[N, 4]: yes said of what is there; there; yes said of what is absent; absent."""
    rows = []
    for item, one in zip(items, said, strict=True):
        there, yes = yes_no_truth(item) == "yes", yes_or_no(one.text) == "yes"
        rows.append([there and yes, there, not there and yes, not there])
    return np.array(rows, np.float64).reshape(-1, 4)


def yes_share(sums_4: Array) -> Array:
    """Of all answers; NaN of none."""
    said = sums_4[..., 0] + sums_4[..., 2]
    return ratio(np.stack([said, sums_4[..., 1] + sums_4[..., 3]], -1))


def sensitivity(sums_4: Array) -> Array:
    """d-prime; NaN where nothing is there, or nothing absent."""
    hits = (sums_4[..., 0] + 0.5) / (sums_4[..., 1] + 1)
    false = (sums_4[..., 2] + 0.5) / (sums_4[..., 3] + 1)
    quantile = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
    known = (sums_4[..., 1] > 0) & (sums_4[..., 3] > 0)
    return np.where(known, quantile(hits) - quantile(false), np.nan)
