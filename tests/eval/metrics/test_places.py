"""Places, against COCO's own evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tests.eval.metrics.made import boxes, figures, shows, words

from sightline.core.errors import DataError
from sightline.core.geometry import Box, Point
from sightline.eval.metrics.places import (
    COCO_THRESHOLDS,
    BoxIou,
    PointInBox,
    average_precision,
    inside,
    point_in_mask,
)

# Small whole numbers: many equal overlaps, and overlaps that meet a threshold exactly.
BOXES = st.builds(
    lambda x, y, width, height: Box(x, y, x + width, y + height),
    *(st.integers(0, 6), st.integers(0, 6), st.integers(1, 6), st.integers(1, 6)),
)
PICTURES = st.lists(
    st.tuples(
        st.lists(BOXES, max_size=4),
        st.lists(st.tuples(BOXES, st.sampled_from([0.1, 0.5, 0.5, 0.9])), max_size=5),
    ),
    min_size=1,
    max_size=4,
).filter(lambda pictures: any(truths for truths, _ in pictures))


def xywh(box: Box) -> list[float]:
    return [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0]


def coco_ap(
    said: Sequence[Sequence[Box]],
    truths: Sequence[Sequence[Box]],
    scores: Sequence[Sequence[float]],
    threshold: float | None = None,
) -> float:
    """Average precision by pycocotools; one class, all sizes."""
    own, other = COCO(), COCO()
    images = [{"id": number} for number in range(len(said))]
    for coco, pictures in ((own, truths), (other, said)):
        found = [
            {"image_id": n, "category_id": 1, "bbox": xywh(b), "area": b.area, "iscrowd": 0}
            | ({} if coco is own else {"score": scores[n][at]})
            for n, of_it in enumerate(pictures)
            for at, b in enumerate(of_it)
        ]
        numbered = [{"id": at + 1, **each} for at, each in enumerate(found)]
        coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": numbered}
        coco.createIndex()
    judge = COCOeval(own, other, "bbox")
    judge.params.imgIds = [image["id"] for image in images]
    judge.evaluate()
    judge.accumulate()
    precision_TRKAM = judge.eval["precision"]
    at = slice(None) if threshold is None else list(judge.params.iouThrs).index(threshold)
    return float(precision_TRKAM[at, :, 0, 0, -1].mean())


@given(PICTURES)
@settings(max_examples=40)  # each asks pycocotools four times
def test_average_precision_is_cocos(
    pictures: list[tuple[list[Box], list[tuple[Box, float]]]],
) -> None:
    truths = [truth for truth, _ in pictures]
    said = [[box for box, _ in each] for _, each in pictures]
    scores = [[sure for _, sure in each] for _, each in pictures]
    alike = [[1.0] * len(each) for each in said]
    for sure, given_scores in ((scores, scores), (alike, None)):
        found = average_precision(said, truths, given_scores)
        assert found == pytest.approx(coco_ap(said, truths, sure), abs=1e-9)
        at_half = average_precision(said, truths, given_scores, thresholds=(0.5,))
        assert at_half == pytest.approx(coco_ap(said, truths, sure, 0.5), abs=1e-9)
        assert 0 <= found <= at_half + 1e-12 <= 1 + 2e-12


def test_average_precision_of_many_boxes() -> None:
    rng = np.random.default_rng(0)

    def some(count: int) -> list[Box]:
        corners, sizes = rng.uniform(0, 50, (count, 2)), rng.uniform(20, 60, (count, 2))
        return [Box(*low, *(low + size)) for low, size in zip(corners, sizes, strict=True)]

    truths = [some(int(rng.integers(0, 12))) for _ in range(20)]
    said = [some(8) + [Box(b.x0 + 2, b.y0, b.x1, b.y1 + 3) for b in each] for each in truths]
    scores = [rng.uniform(size=len(each)).tolist() for each in said]
    found = average_precision(said, truths, scores)
    assert found == pytest.approx(coco_ap(said, truths, scores), abs=1e-9)
    assert 0.05 < found < 0.95
    order = rng.permutation(len(said))
    turned = [[each[n] for n in order] for each in (said, truths, scores)]
    assert average_precision(*turned) == pytest.approx(found, abs=1e-12)


def test_average_precision_by_hand() -> None:
    a, b, far = Box(0, 0, 10, 10), Box(20, 0, 30, 10), Box(90, 90, 99, 99)
    assert average_precision([[a], [b]], [[a], [b]]) == 1
    assert average_precision([[], []], [[a], [b]]) == 0
    assert average_precision([[far, a]], [[a]], [[0.9, 0.1]]) == pytest.approx(0.5)
    assert average_precision([[far, a]], [[a]], [[0.1, 0.9]]) == 1
    # Half of the truth found, for certain: precision 1 up to recall 0.5, 51 of 101 recalls.
    assert average_precision([[a]], [[a, b]]) == pytest.approx(51 / 101)
    # The same box twice takes the truth once.
    assert average_precision([[a, a]], [[a]], [[0.9, 0.8]]) == 1
    assert average_precision([[a, a]], [[a, b]], [[0.9, 0.8]]) == pytest.approx(51 / 101)


def test_of_boxes_covered_alike_the_last_is_taken() -> None:
    a, b, between = Box(0, 0, 10, 10), Box(4, 0, 14, 10), Box(2, 0, 12, 10)
    for truth, expected in (([a, b], 1), ([b, a], 51 / 101)):
        found = average_precision([[between, a]], [truth], [[0.9, 0.8]], thresholds=(0.5,))
        assert found == pytest.approx(expected)
        assert coco_ap([[between, a]], [truth], [[0.9, 0.8]], 0.5) == pytest.approx(expected)


def test_thresholds_are_cocos() -> None:
    assert COCOeval(iouType="bbox").params.iouThrs.tolist() == list(COCO_THRESHOLDS)


@pytest.mark.parametrize(
    ("said", "truths", "scores", "problem"),
    [
        ([[]], [[Box(0, 0, 1, 1)], []], None, "are of 1, 2 and 1 pictures"),
        ([[Box(0, 0, 1, 1)]], [[Box(0, 0, 1, 1)]], [[]], "picture 0: has 1 boxes and 0 scores"),
        ([[Box(0, 0, 1, 1)]], [[]], None, "truths: are empty"),
    ],
)
def test_average_precision_refuses(
    said: list[list[Box]], truths: list[list[Box]], scores: list[list[float]] | None, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        average_precision(said, truths, scores)


@given(BOXES, BOXES)
def test_iou_is_cocos(a: Box, b: Box) -> None:
    known = coco_mask.iou(np.array([xywh(a)], float), np.array([xywh(b)], float), [0])[0, 0]
    assert a.iou(b) == pytest.approx(known, abs=1e-12)
    assert a.iou(b) == b.iou(a)
    assert a.iou(a) == 1


def test_box_iou_by_hand() -> None:
    items = [boxes((0, 0, 10, 10), key=str(n)) for n in range(4)]
    said = [
        shows((0, 0, 10, 10)),  # 1
        shows((0, 0, 5, 10)),  # exactly 0.5
        shows((5, 0, 15, 10)),  # 1/3
        shows(),
    ]
    found = figures(BoxIou(), items, said)
    assert found == pytest.approx({"IoU@0.5": 0.5, "mean IoU": 11 / 24, "no box": 0.25})
    assert BoxIou(0.75).scores(items, said) == [1, 0, 0, 0]
    assert "IoU@0.75" in figures(BoxIou(0.75), items, said)


def test_the_first_box_said_counts_and_any_of_the_truth() -> None:
    truth = boxes((0, 0, 10, 10), (50, 50, 60, 60))
    said = shows((50, 50, 60, 60))
    two = type(said)("", (Box(90, 90, 95, 95), *said.boxes))
    assert BoxIou().scores([truth, truth], [said, two]) == [1, 0]


def test_numbers_in_words_are_no_box() -> None:
    truth = boxes((0, 0, 10, 10))
    spoken = type(shows())("[0, 0, 10, 10]")
    found = figures(BoxIou(), [truth], [spoken])
    assert found == {"IoU@0.5": 0, "mean IoU": 0, "no box": 1}


def test_point_in_box() -> None:
    truth = boxes((0, 0, 10, 10), (50, 50, 60, 60))
    said = [
        shows(point=(55, 51)),
        shows(point=(10, 10)),  # on the edge
        shows(point=(30, 30)),
        shows(box=(0, 0, 4, 4)),
        shows(box=(0, 0, 4, 4), point=(99, 99)),  # the point goes before the box
        shows(),
    ]
    items = [truth] * len(said)
    assert PointInBox().scores(items, said) == [1, 1, 0, 1, 0, 0]
    found = figures(PointInBox(), items, said)
    assert found == pytest.approx({"accuracy": 0.5, "no point": 1 / 6})


@given(BOXES, st.integers(-1, 13), st.integers(-1, 13))
def test_mask_of_a_box_is_the_box_without_its_far_edges(box: Box, x: int, y: int) -> None:
    mask_HW = np.zeros((13, 14), bool)
    mask_HW[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    point = Point(x + 0.5, y + 0.5)
    assert point_in_mask(point, mask_HW) == inside(point, box)


def test_mask_is_rows_first_and_ends_at_the_picture() -> None:
    mask_HW = np.zeros((2, 3), bool)
    mask_HW[0, 2] = True
    assert point_in_mask(Point(2.9, 0.9), mask_HW)
    assert not point_in_mask(Point(0.5, 1.5), mask_HW)
    for x, y in ((3, 0), (-0.1, 0), (2, 2), (2, -0.1)):
        assert not point_in_mask(Point(x, y), mask_HW)


def test_a_truth_of_words_is_refused() -> None:
    with pytest.raises(DataError, match="q: has Answers for a truth"):
        BoxIou().scores([words("left")], [shows()])
