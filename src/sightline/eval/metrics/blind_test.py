"""BlindTest: answers read as each of its tasks asks for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightline.eval.item import Item
from sightline.eval.metrics.truths import answers_of, clusters_of
from sightline.eval.said import Said
from sightline.eval.statistics import Array, Tally, mean_tally

GRID = "counting grid"
TASKS = {
    "circled letter": "circled letter",
    "counting grid - blank grids": GRID,
    "counting grid - word grids": GRID,
    "line plot intersections": "line plot intersections",
    "nested squares": "nested squares",
    "olympic counting - circles": "olympic counting - circles",
    "olympic counting - pentagons": "olympic counting - pentagons",
    "subway connections": "subway connections",
    "touching circles": "touching circles",
}
_GRIDS = (
    re.compile(r"\{(\d+)\}\s*\{(\d+)\}"),
    re.compile(r"\((\d+)\s*,\s*(\d+)\)"),
    re.compile(r"rows=\{(\d+)\}\scolumns=\{(\d+)\}"),
)


@dataclass(frozen=True, slots=True)
class BlindTest:
    """1 for the right letter, number, pair of numbers, yes or no; the kind of an item says which
    (Rahmanzadehgervi et al. 2024, read as lmms_eval/tasks/vlmsareblind/utils.py reads it)."""

    @property
    def name(self) -> str:
        return "BlindTest accuracy"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            float(read_answer(one.text, item.kind) == answers_of(item)[0].strip().lower())
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        """The share of right answers, and the mean of this share over tasks."""
        clusters = clusters_of(items)
        return [mean_tally("accuracy", scores, clusters), mean_of_kinds(items, scores)]


def read_answer(text: str, kind: str) -> str | None:
    """What an answer says; None if it is not in the form that was asked for. Of letters and
    numbers the first counts, wherever it stands."""
    text = text.strip().lower()
    if kind == "touching circles":
        return text if text in ("yes", "no") else None
    if kind == GRID:
        found = next((match for form in _GRIDS if (match := form.search(text))), None)
        return f"{found[1]},{found[2]}" if found else None
    found = re.search("[a-z]" if kind == "circled letter" else r"\d+", text)
    return found[0] if found else None


def mean_of_kinds(items: Sequence[Item], scores: Sequence[float]) -> Tally:
    """The mean over kinds of the mean score of each; a resample's kinds are those it drew."""
    kinds = list(dict.fromkeys(item.kind for item in items))
    counted_NK = np.array([[item.kind == kind for kind in kinds] for item in items], np.float64)
    right_NK = counted_NK * np.asarray(scores, np.float64)[:, None]
    rows_NK = np.concatenate([right_NK, counted_NK], axis=1)
    return Tally("mean of tasks", rows_NK, tuple(clusters_of(items)), _mean_of_shares)


def _mean_of_shares(sums_K: Array) -> Array:
    """The first half over the second, averaged where the second is not 0."""
    right_K, counted_K = np.split(sums_K, 2, axis=-1)
    there_K = counted_K > 0
    shares_K = np.where(there_K, right_K / np.where(there_K, counted_K, 1), 0)
    with np.errstate(invalid="ignore"):
        mean: Array = shares_K.sum(-1) / there_K.sum(-1)
    return mean
