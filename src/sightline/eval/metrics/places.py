"""Boxes, points and masks: whether what was said is where it should be."""

# G boxes of a picture  S boxes said of it  T thresholds  D boxes said of all pictures
# H height  W width

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.core.geometry import Box, Point
from sightline.eval.item import Item
from sightline.eval.metrics.truths import boxes_of, clusters_of, neither
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally

COCO_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())


@dataclass(frozen=True, slots=True)
class BoxIou:
    """1 if the first box said covers a box of the truth with an IoU of `threshold` or more
    (RefCOCO: 0.5). No box is 0."""

    threshold: float = 0.5

    @property
    def name(self) -> str:
        return f"IoU@{self.threshold:g}"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [float(iou >= self.threshold) for iou in _ious(items, said)]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        clusters = clusters_of(items)
        return [
            mean_tally(self.name, scores, clusters),
            mean_tally("mean IoU", _ious(items, said), clusters),
            neither(mean_tally("no box", [float(not one.boxes) for one in said], clusters)),
        ]


@dataclass(frozen=True, slots=True)
class PointInBox:
    """1 if the first point said, or without points the centre of the first box, is in a box of the
    truth, its edge included. Neither is 0."""

    @property
    def name(self) -> str:
        return "point in box"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        found = []
        for item, one in zip(items, said, strict=True):
            boxes, point = boxes_of(item), point_of(one)
            found.append(float(point is not None and any(inside(point, box) for box in boxes)))
        return found

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        clusters = clusters_of(items)
        silent = [float(point_of(one) is None) for one in said]
        return [
            mean_tally("accuracy", scores, clusters),
            neither(mean_tally("no point", silent, clusters)),
        ]


def _ious(items: Sequence[Item], said: Sequence[Said]) -> list[float]:
    """Of each first box with the box of the truth that it covers best."""
    pairs = [(one.boxes[:1], boxes_of(item)) for item, one in zip(items, said, strict=True)]
    return [max((a.iou(b) for a in first for b in truth), default=0.0) for first, truth in pairs]


def point_of(said: Said) -> Point | None:
    """The first point said, or the centre of the first box."""
    if said.points:
        return said.points[0]
    return said.boxes[0].centre if said.boxes else None


def inside(point: Point, box: Box) -> bool:
    """Whether a point is in a box or on its edge."""
    return box.x0 <= point.x <= box.x1 and box.y0 <= point.y <= box.y1


def point_in_mask(point: Point, mask_HW: NDArray[np.bool_]) -> bool:
    """Whether the pixel of a point is set in bool[H, W]; points outside the picture are not."""
    row, col = math.floor(point.y), math.floor(point.x)
    height, width = mask_HW.shape
    return 0 <= row < height and 0 <= col < width and bool(mask_HW[row, col])


def average_precision(
    said: Sequence[Sequence[Box]],
    truths: Sequence[Sequence[Box]],
    scores: Sequence[Sequence[float]] | None = None,
    *,
    thresholds: Sequence[float] = COCO_THRESHOLDS,
) -> float:
    """0..1: the area under precision over recall, at 101 recalls, averaged over IoU thresholds, for
    boxes of one class (COCO, Lin et al. 2014). `thresholds=(0.5,)` gives AP50.

    said, truths: boxes of each picture. scores: how sure each box said is; without them all are
    alike. Alike boxes count in the order in which they come, as in COCO's evaluation, so that the
    figure then depends on the order of pictures. All boxes said count, not the first hundred.

    Raises DataError for unequal numbers of pictures, boxes and scores, and where no truth is given.
    """
    sure = [[1.0] * len(boxes) for boxes in said] if scores is None else scores
    if not len(said) == len(truths) == len(sure):
        problem = f"are of {len(said)}, {len(truths)} and {len(sure)} pictures"
        raise DataError("boxes, truths and scores", problem, "give one list for each picture")
    for number, (boxes, of_it) in enumerate(zip(said, sure, strict=True)):
        if len(boxes) != len(of_it):
            problem = f"has {len(boxes)} boxes and {len(of_it)} scores"
            raise DataError(f"picture {number}", problem, "give a score to each box")
    wanted = sum(map(len, truths))
    if not wanted or not thresholds:
        raise DataError("thresholds" if wanted else "truths", "are empty", "give at least one")
    each = [_hits(*one, thresholds) for one in zip(said, truths, sure, strict=True)]
    hits_TD = np.concatenate(each, 1)
    sure_D = np.concatenate([np.sort(np.array(one, np.float64))[::-1] for one in sure])
    hits_TD = hits_TD[:, np.argsort(-sure_D, kind="stable")]
    return float(np.mean([_interpolated(hits_D, wanted) for hits_D in hits_TD]))


def _hits(
    said: Sequence[Box], truths: Sequence[Box], sure: Sequence[float], thresholds: Sequence[float]
) -> NDArray[np.bool_]:
    """bool[T, S]: whether each box of a picture, the surest first, meets a box that no surer one
    has taken."""
    order = np.argsort(-np.array(sure, np.float64), kind="stable")
    ious_SG = [[said[at].iou(box) for box in truths] for at in order]
    return np.array([_taken(ious_SG, t) for t in thresholds], np.bool_).reshape(
        len(thresholds), len(said)
    )


def _taken(ious_SG: Sequence[Sequence[float]], threshold: float) -> list[bool]:
    """Whether each box said takes the free box that it covers best; the last of equals."""
    free = set(range(len(ious_SG[0]))) if ious_SG else set()
    found = []
    for ious_G in ious_SG:
        near = [at for at in sorted(free) if ious_G[at] >= threshold]
        best = max(near, key=lambda at: (ious_G[at], at), default=None)
        free.discard(-1 if best is None else best)
        found.append(best is not None)
    return found


def _interpolated(hits_D: NDArray[np.bool_], wanted: int) -> float:
    """The mean over 101 recalls of the highest precision at that recall or a higher one."""
    right_D = np.cumsum(hits_D)
    precision_D = right_D / np.arange(1, len(hits_D) + 1)
    highest_D = np.maximum.accumulate(precision_D[::-1])[::-1]
    at = np.searchsorted(right_D / wanted, np.linspace(0, 1, 101), side="left")
    return float(np.concatenate([highest_D, [0.0]])[at].mean())
