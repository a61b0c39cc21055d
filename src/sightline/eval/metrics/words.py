"""Answers in words, compared with words: exactly, roughly, or letter by letter."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.truths import answers_of, clusters_of, lower_is_better
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally, share_tally

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


@dataclass(frozen=True, slots=True)
class Exact:
    """1 for any of the answers.

    fold: `plain` leaves case, a final full stop and outer space aside; `bare` case, outer space and
        all ASCII punctuation; `strict` only outer space.
    """

    fold: Literal["plain", "bare", "strict"] = "plain"

    @property
    def name(self) -> str:
        return "strict match" if self.fold == "strict" else "exact match"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            float(self._folded(one.text) in [self._folded(text) for text in answers_of(item)])
            for item, one in zip(items, said, strict=True)
        ]

    def _folded(self, text: str) -> str:
        match self.fold:
            case "plain":
                return normalised(text)
            case "bare":
                return unpunctuated(text)
            case "strict":
                return text.strip()
            case _:
                assert_never(self.fold)

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [mean_tally("accuracy", scores, clusters_of(items))]


@dataclass(frozen=True, slots=True)
class Contains:
    """1 if any of the answers is in what was said, as OCRBench judges (Liu et al. 2023): case,
    full-width letters and line breaks aside.

    formula_kinds: kinds of items whose answers are formulas: there case counts, and space does not
        (OCRBench's handwritten expressions).
    """

    formula_kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "contains the answer"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [self._score(item, one.text) for item, one in zip(items, said, strict=True)]

    def _score(self, item: Item, text: str) -> float:
        fold = formula_fold if item.kind in self.formula_kinds else line_fold
        wanted = [fold(answer) for answer in answers_of(item)]
        if "" in wanted:
            raise DataError(item.key, "has an empty answer, which every text contains", "drop it")
        return float(any(answer in fold(text) for answer in wanted))

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [mean_tally("accuracy", scores, clusters_of(items))]


@dataclass(frozen=True, slots=True)
class TokenF1:
    """F1 of the words of the best answer, as SQuAD 2.0 defines it (Rajpurkar et al. 2018)."""

    @property
    def name(self) -> str:
        return "token F1"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            max(token_f1(one.text, answer) for answer in answers_of(item))
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        same = [
            float(squad_words(one.text) in [squad_words(text) for text in answers_of(item)])
            for item, one in zip(items, said, strict=True)
        ]
        clusters = clusters_of(items)
        return [mean_tally("F1", scores, clusters), mean_tally("exact match", same, clusters)]


@dataclass(frozen=True, slots=True)
class Relaxed:
    """1 for a number within `tolerance` of any of the answers, relative to it, and for equal words
    (ChartQA, Masry et al. 2022)."""

    tolerance: float = 0.05

    @property
    def name(self) -> str:
        return "relaxed accuracy"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            float(any(relaxed(one.text, text, self.tolerance) for text in answers_of(item)))
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [mean_tally("relaxed accuracy", scores, clusters_of(items))]


@dataclass(frozen=True, slots=True)
class Anls:
    """Average normalised Levenshtein similarity to the best answer (Biten et al. 2019)."""

    threshold: float = 0.5

    @property
    def name(self) -> str:
        return "ANLS"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            anls(one.text, answers_of(item), self.threshold)
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        exact = [float(score == 1) for score in scores]
        clusters = clusters_of(items)
        return [mean_tally("ANLS", scores, clusters), mean_tally("exact match", exact, clusters)]


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Edits per character or word of the truth, over all items: CER or WER. Outer space is left
    aside, case counts; of several answers the one with the lowest rate is the truth.

    The score of an answer is 1 less its own rate, and not below 0.
    """

    unit: Literal["character", "word"]

    @property
    def name(self) -> str:
        return "CER" if self.unit == "character" else "WER"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [max(0.0, 1 - edits / length) for edits, length in self._edits(items, said)]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        edits = self._edits(items, said)
        clusters = clusters_of(items)
        rate = share_tally(self.name, [e for e, _ in edits], [n for _, n in edits], clusters)
        exact = mean_tally("exact match", [float(e == 0) for e, _ in edits], clusters)
        return [lower_is_better(rate), exact]

    def _edits(self, items: Sequence[Item], said: Sequence[Said]) -> list[tuple[int, int]]:
        """Of each answer: edits to the truth, and the truth's length."""
        return [self._best(item, one.text) for item, one in zip(items, said, strict=True)]

    def _best(self, item: Item, text: str) -> tuple[int, int]:
        found = []
        for answer in answers_of(item):
            truth, given = self._cut(answer), self._cut(text)
            if not truth:
                raise DataError(item.key, "has an empty answer: no error rate", "drop it")
            found.append((edit_distance(given, truth), len(truth)))
        return min(found, key=lambda pair: pair[0] / pair[1])

    def _cut(self, text: str) -> Sequence[str]:
        return text.strip() if self.unit == "character" else text.split()


def normalised(text: str) -> str:
    """Lower case, without a final full stop or surrounding space."""
    return text.strip().rstrip(".").strip().lower()


def unpunctuated(text: str) -> str:
    """Lower case, without ASCII punctuation and the space around the text."""
    return "".join(mark for mark in text.strip().lower() if mark not in string.punctuation)


def line_fold(text: str) -> str:
    """Lower case, full-width ASCII made narrow, line breaks made spaces."""
    return text.translate(_WIDE).lower().strip().replace("\n", " ")


def formula_fold(text: str) -> str:
    """Without spaces and line breaks."""
    return text.strip().replace("\n", "").replace(" ", "")


def squad_words(text: str) -> list[str]:
    """Lower-case words without ASCII punctuation and articles."""
    plain = "".join(mark for mark in text.lower() if mark not in string.punctuation)
    return _ARTICLES.sub(" ", plain).split()


def token_f1(text: str, answer: str) -> float:
    """Harmonic mean of precision and recall of the words, each counted as often as it is there. Of
    two texts without words it is 1, of one it is 0. Symmetric."""
    given, wanted = Counter(squad_words(text)), Counter(squad_words(answer))
    if not given or not wanted:
        return float(given == wanted)
    return 2 * (given & wanted).total() / (given.total() + wanted.total())


def relaxed(text: str, answer: str, tolerance: float = 0.05) -> bool:
    """Whether two numbers are within `tolerance` of the answer's, or two texts are equal but for
    case. `12%` is 0.12. As in the published evaluation, zero must be met literally, and numbers are
    what Python's `float` reads: `1_000` and `1e3` are 1000, and `1,000` is a word.

    Differs: outer space is left aside, and infinity and NaN are words.
    """
    given, wanted = _number(text), _number(answer)
    if given is None or not wanted:
        return text.strip().lower() == answer.strip().lower()
    return abs(given - wanted) / abs(wanted) <= tolerance


def _number(text: str) -> float | None:
    text = text.strip()
    percent = text.endswith("%")
    try:
        number = float(text.rstrip("%"))
    except ValueError:
        return None
    return (number / 100 if percent else number) if math.isfinite(number) else None


def anls(text: str, answers: Sequence[str], threshold: float = 0.5) -> float:
    """1 less the edit distance over the longer length, to the best answer; 0 below `threshold`.
    Case and repeated space are left aside, as in the evaluation of DocVQA.

    Differs: lengths are of the texts without repeated space. There a text padded with space is
    longer, and so scores more.
    """
    best = max(_similarity(_single_spaced(text), _single_spaced(answer)) for answer in answers)
    return best if best >= threshold else 0.0


def _similarity(text: str, answer: str) -> float:
    length = max(len(text), len(answer))
    return 1 - edit_distance(text, answer) / length if length else 1.0


def _single_spaced(text: str) -> str:
    return " ".join(text.lower().split())


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Insertions, deletions and replacements between two texts or lists (Levenshtein 1966), by
    rows of its table: the running minimum of `cost - column` is what insertions lead to."""
    codes: dict[Hashable, int] = {}
    first = [codes.setdefault(mark, len(codes)) for mark in a]
    second = np.array([codes.setdefault(mark, len(codes)) for mark in b], np.int64)
    columns = np.arange(len(second) + 1)
    row = columns.copy()
    for number, code in enumerate(first, 1):
        reached = np.minimum(row[1:] + 1, row[:-1] + (second != code))
        row = np.minimum.accumulate(np.concatenate([[number], reached]) - columns) + columns
    return int(row[-1])
