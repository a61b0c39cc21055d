"""One of several options, and questions that count only if all of a unit are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.eval.item import Choice, Item
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.letters import letter_of
from sightline.eval.metrics.truths import (
    all_right,
    answers_of,
    choice_of,
    clusters_of,
    neither,
)
from sightline.eval.metrics.words import normalised
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally


@dataclass(frozen=True, slots=True)
class ByLetter:
    """1 for the letter of the right option, or its words. An answer that names no option, or
    several, is wrong and counted as unparsed."""

    @property
    def name(self) -> str:
        return "multiple choice"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            float(_letter(item, one) == right_letter(item))
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [mean_tally("accuracy", scores, clusters_of(items)), unparsed(items, said)]


@dataclass(frozen=True, slots=True)
class Circular:
    """A unit is a question with its options in several orders; it is right if every order is
    (CircularEval of MMBench, Liu et al. 2023). Scores are of each order alone."""

    @property
    def name(self) -> str:
        return "circular multiple choice"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return ByLetter().scores(items, said)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [
            all_right("circular accuracy", items, scores),
            *ByLetter().tallies(items, said, scores),
        ]


@dataclass(frozen=True, slots=True)
class PairsRight:
    """1 for a right answer; besides, the share of units (two questions about one picture in MME,
    Fu et al. 2023) of which every answer is right, the `+`.

    Truths are yes or no, other words (compared as Exact does), or options (as ByLetter).
    """

    @property
    def name(self) -> str:
        return "accuracy and accuracy+"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [float(_right(item, one)) for item, one in zip(items, said, strict=True)]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        accuracy = mean_tally("accuracy", scores, clusters_of(items))
        return [accuracy, all_right("accuracy+", items, scores)]


def right_letter(item: Item) -> str:
    """The letter of the right option. Raises DataError."""
    choice = choice_of(item)
    return choice.letters[choice.index]


def unparsed(items: Sequence[Item], said: Sequence[Said]) -> Tally:
    """The share of answers that name no option, or several."""
    lost = [float(_letter(i, one) is None) for i, one in zip(items, said, strict=True)]
    return neither(mean_tally("unparsed", lost, clusters_of(items)))


def _letter(item: Item, said: Said) -> str | None:
    return letter_of(said.text, choice_of(item))


def _right(item: Item, said: Said) -> bool:
    if isinstance(item.truth, Choice):
        return _letter(item, said) == right_letter(item)
    wanted = {normalised(text) for text in answers_of(item)}
    if wanted <= {"yes", "no"}:
        return yes_or_no(said.text) in wanted
    return normalised(said.text) in wanted
