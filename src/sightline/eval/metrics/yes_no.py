"""Questions of yes or no, as POPE judges them (Li et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.truths import answers_of, clusters_of, neither
from sightline.eval.said import Said
from sightline.eval.statistics import Array, Tally, mean_tally, ratio

# Columns of the sums: said yes and true, said yes and false, not said yes and true.
_HIT, _FALSE, _MISSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class YesNo:
    """1 for the right one of yes and no. Precision, recall and F1 are of `yes`; the yes-share is
    of what was said. An answer that is neither is wrong, and counted as unparsed.

    Differs from POPE's script: there every answer without `no` or `not` is a yes. Differs from
    lmms-eval (mme/utils.py), which reads the first four letters: there `No doubt it is` is a no,
    and `yes or no` a yes.
    """

    @property
    def name(self) -> str:
        return "yes or no"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            float(yes_or_no(one.text) == yes_no_truth(item))
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        heard = [yes_or_no(one.text) for one in said]
        pairs = [
            (word == "yes", yes_no_truth(item) == "yes")
            for word, item in zip(heard, items, strict=True)
        ]
        rows_N3 = np.array([[s and t, s and not t, t and not s] for s, t in pairs], np.float64)
        clusters = tuple(clusters_of(items))
        names = {"precision": precision, "recall": recall, "F1": f1}
        return [
            mean_tally("accuracy", scores, clusters),
            *(Tally(name, rows_N3.reshape(-1, 3), clusters, names[name]) for name in names),
            neither(mean_tally("yes-share", [float(s) for s, _ in pairs], clusters)),
            neither(mean_tally("unparsed", [float(word is None) for word in heard], clusters)),
        ]


def precision(sums_3: Array) -> Array:
    """Of the yeses said, the share that is true; NaN where none was said."""
    hits = sums_3[..., _HIT]
    return ratio(np.stack([hits, hits + sums_3[..., _FALSE]], -1))


def recall(sums_3: Array) -> Array:
    """Of the true yeses, the share that was said; NaN where there is none."""
    hits = sums_3[..., _HIT]
    return ratio(np.stack([hits, hits + sums_3[..., _MISSED]], -1))


def f1(sums_3: Array) -> Array:
    """Harmonic mean of the two; NaN where no yes is true or said."""
    twice = 2 * sums_3[..., _HIT]
    return ratio(np.stack([twice, twice + sums_3[..., _FALSE] + sums_3[..., _MISSED]], -1))


def yes_no_truth(item: Item) -> str:
    """`yes` or `no`. Raises DataError for another truth."""
    words = {text.strip().lower() for text in answers_of(item)}
    if words not in ({"yes"}, {"no"}):
        problem = f"has the answer {', '.join(sorted(words))!r}, not yes or no"
        raise DataError(item.key, problem, "give `yes` or `no`")
    return words.pop()
