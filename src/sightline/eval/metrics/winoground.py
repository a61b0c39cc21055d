"""Winoground's text, image and group scores (Thrush et al. 2022, arXiv:2204.03162)."""

# U examples  C captions (2)  V pictures (2)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.truths import answers_of, clusters_of, units_of
from sightline.eval.said import Said
from sightline.eval.statistics import Array, Tally, mean_tally

_SAYS = {"yes": 1.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class Winoground:
    """Units of four questions in the order of the pictures, and of the captions for each: does
    picture v show caption c? A yes is 1, a no is 0, and anything else wins nothing.

    From such answers all three scores are equal: each asks for all four to be right. They differ
    for models that give a number to each pair.
    """

    @property
    def name(self) -> str:
        return "Winoground group score"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        """1 for each right answer."""
        return [
            float(yes_or_no(one.text) == answers_of(item)[0])
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        """Shares of examples; one with a question that failed is left out. And the share of right
        answers."""
        whole = [unit for unit in units_of(items) if _is_whole(items, unit)]
        says = [_SAYS.get(yes_or_no(one.text) or "", np.nan) for one in said]
        scores_UVC = np.array([[says[n] for n in unit] for unit in whole]).reshape(-1, 2, 2)
        clusters = clusters_of(items)
        of_units = [clusters[unit[0]] for unit in whole]
        return [
            *match_tallies(scores_UVC.swapaxes(1, 2), of_units),
            mean_tally("accuracy", scores, clusters),
        ]


def _is_whole(items: Sequence[Item], unit: Sequence[int]) -> bool:
    truths = [answers_of(items[number])[0] for number in unit]
    if len(unit) > 4:
        problem = f"is of a unit of {len(unit)} questions"
        raise DataError(items[unit[0]].key, problem, "ask four of each example")
    return truths == ["yes", "no", "no", "yes"]


def match_tallies(scores_UCV: Array, clusters: Sequence[str]) -> list[Tally]:
    """The group score, then text and image score, from a number for each pair of two captions and
    two pictures; caption i belongs to picture i."""
    text_U, image_U = matched(scores_UCV)
    named = {"group": text_U & image_U, "text": text_U, "image": image_U}
    return [
        mean_tally(f"{name} score", right_U.astype(np.float64).tolist(), clusters)
        for name, right_U in named.items()
    ]


def matched(scores_UCV: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool[U] twice: whether each picture prefers its caption, and each caption its picture. Only
    strict wins count: a tie is wrong, and NaN wins nothing.

    scores_UCV: float[U, 2, 2].
    """
    own_0, own_1 = scores_UCV[:, 0, 0], scores_UCV[:, 1, 1]
    c1_i0, c0_i1 = scores_UCV[:, 1, 0], scores_UCV[:, 0, 1]
    text_U = (own_0 > c1_i0) & (own_1 > c0_i1)
    image_U = (own_0 > c0_i1) & (own_1 > c1_i0)
    return text_U, image_U
