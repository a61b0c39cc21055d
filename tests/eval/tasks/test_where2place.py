"""Where2Place's rows: a mask as boxes, and points counted by hand."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.eval.lmms_oracle import ask_lmms_all, needs_lmms
from tests.eval.tasks.published_files import png, write_parquet

from sightline.core.errors import DataError
from sightline.core.geometry import Box, Point
from sightline.eval.item import Boxes, Item
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.where2place import WHERE2PLACE, boxes_of

WORDS = "Please point out the free space left of the cup."
MASK = np.zeros((6, 8), np.uint8)
MASK[1:4, 2:5] = 255  # three rows alike,
MASK[4, 2:5] = 128  # one more, just above the middle grey,
MASK[5, 0:2] = 255  # and two runs in the last one
MASK[5, 6:8] = 127  # (this one is just below it)
MASK[5, 7] = 254
BOXES = (Box(2, 1, 5, 5), Box(0, 5, 2, 6), Box(7, 5, 8, 6))


def picture(values: Any) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": "mask.png"}


def row(mask: Any = MASK, **change: Any) -> dict[str, Any]:
    return {
        "question_id": 7,
        "question": WORDS,
        "image": png(90, (8, 6)),
        "mask": picture(mask),
        **change,
    }


def items_of(folder: Path, *rows: dict[str, Any]) -> list[Item]:
    write_parquet(folder / "data/test-00000-of-00001.parquet", rows)
    return list(WHERE2PLACE.open(folder).items())


def test_a_mask_is_boxes_that_tile_it(tmp_path: Path) -> None:
    [item] = items_of(tmp_path, row())
    assert item.key == "data/test-00000-of-00001.parquet:1 7"
    assert item.question == f"{WORDS} Your answer should be JSON format."
    assert item.truth == Boxes(BOXES, ("inside the mask",))
    assert item.answer == "inside the mask"


def test_a_mask_of_another_size_is_scaled(tmp_path: Path) -> None:
    [item] = items_of(tmp_path, row(image=png(90, (16, 18))))
    assert item.boxes == tuple(box.scaled(2, 3) for box in BOXES)


def test_figures_by_hand(tmp_path: Path) -> None:
    [item] = items_of(tmp_path, row())
    said = [
        # In, in, on the right edge of the upper box (out), outside the picture: 2 of 4.
        Said("", points=(Point(2, 1), Point(4.99, 4.99), Point(5, 2), Point(-1, 5))),
        Said("", points=(Point(6.5, 5.5), Point(7.5, 5.5))),  # out, in: 1 of 2
        Said("(0.3, 0.5)"),  # words alone: no point
        Said("", points=(Point(0, 5),)),
    ]
    items = [item] * 4
    scores = WHERE2PLACE.metric.scores(items, said)
    assert scores == [0.5, 0.5, 0.0, 1.0]
    figures = {
        f.name: f.value for f in map(figure, WHERE2PLACE.metric.tallies(items, said, scores))
    }
    assert figures == {"points inside": 0.5, "first point inside": 0.5, "no point": 0.25}


@given(seed=st.integers(0, 10**6), height=st.integers(1, 9), width=st.integers(1, 9))
def test_boxes_cover_a_mask_exactly_once(seed: int, height: int, width: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.6
    covered = np.zeros((height, width), int)
    for box in boxes_of(mask):
        covered[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] += 1
    assert (covered == mask).all()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"mask": picture(np.zeros((6, 8)))}, "mask is black"),
        ({"mask": {"bytes": b"none", "path": None}}, "mask"),
        ({"mask": None}, "has no mask"),
        ({"question": ""}, "question is ''"),
        ({"question_id": None}, "has no question_id"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem) as error:
        items_of(tmp_path, row(), row() | change)
    assert error.value.field == "data/test-00000-of-00001.parquet:2"


@needs_lmms
def test_as_lmms_eval(tmp_path: Path) -> None:
    """The same points in pixels, on random masks, in and outside the picture."""
    rng = np.random.default_rng(3)
    masks = [rng.integers(0, 256, (6, 8)) for _ in range(12)]
    texts = [
        str([(round(float(x), 2), round(float(y), 2)) for x, y in rng.uniform(-0.2, 1.2, (4, 2))])
        for _ in masks
    ]
    docs = [
        {"question_id": 7, "question": WORDS, "mask": Image.fromarray(mask.astype(np.uint8))}
        for mask in masks
    ]
    module = "where2place.utils"
    prompt, *found = ask_lmms_all(
        [
            (module, "where2place_doc_to_text_json", (docs[0],), {}),
            *(
                (module, "where2place_process_results_json", (doc, [text]), {})
                for doc, text in zip(docs, texts, strict=True)
            ),
        ]
    )
    theirs = [one["where2place_acc"] for one in found]
    items = items_of(tmp_path, *(row(mask, question_id=n) for n, mask in enumerate(masks)))
    said = [Said("", points=tuple(Point(x, y) for x, y in one["parsed_points"])) for one in theirs]
    ours = WHERE2PLACE.metric.scores(items, said)
    assert ours == pytest.approx([one["accuracy"] for one in theirs], abs=1e-12)
    assert len(set(ours)) > 2
    assert prompt.startswith(items[0].question)
