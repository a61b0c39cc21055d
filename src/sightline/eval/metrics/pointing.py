"""Points, all of those said: how many are where they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.core.geometry import Box, Point
from sightline.eval.item import Item
from sightline.eval.metrics.truths import boxes_of, clusters_of, neither
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally


@dataclass(frozen=True, slots=True)
class PointsInside:
    """The share of the points said of a picture that are in a box of the truth; 0 without points
    (Where2Place, arXiv:2406.10721). Boxes that tile a mask say of each pixel what the mask says:
    right and lower edges are outside.

    Besides, how often the first point is inside, and how often none was said.
    """

    @property
    def name(self) -> str:
        return "points inside"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            sum(_hits(item, one.points)) / len(one.points) if one.points else 0.0
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        clusters = clusters_of(items)
        first = [float(any(_hits(i, one.points[:1]))) for i, one in zip(items, said, strict=True)]
        silent = [float(not one.points) for one in said]
        return [
            mean_tally("points inside", scores, clusters),
            mean_tally("first point inside", first, clusters),
            neither(mean_tally("no point", silent, clusters)),
        ]


def _hits(item: Item, points: Sequence[Point]) -> list[bool]:
    boxes = boxes_of(item)
    return [any(_within(point, box) for box in boxes) for point in points]


def _within(point: Point, box: Box) -> bool:
    return box.x0 <= point.x < box.x1 and box.y0 <= point.y < box.y1
