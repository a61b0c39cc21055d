"""Where2Place: point at free space that a sentence describes; a mask says where it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import PictureError
from sightline.core.geometry import Box
from sightline.eval.item import Boxes, Item
from sightline.eval.metrics.pointing import PointsInside
from sightline.eval.tasks.published import EachRow, asked, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark
from sightline.pictures import open_picture, probe


def _item(row: Row) -> Item:
    return asked(
        row,
        words(row, "question"),
        Boxes(_inside(row), ("inside the mask",)),
        then=" Your answer should be JSON format.",
        id=row.text("question_id"),
        kind="free space",
    )


def _inside(row: Row) -> tuple[Box, ...]:
    """The mask in pixels of the picture. Raises DataError for a mask that is empty or no picture.
    Its first channel counts from the middle grey on."""
    row.picture("mask")
    try:
        mask_HW = open_picture(row.opened("mask")).rgb[..., 0] > 127
        size = probe(row.opened("image"))
    except PictureError as error:
        raise row.wrong("mask", f"{error.field}: {error.problem}", error.fix) from None
    if not mask_HW.any():
        raise row.wrong("mask", "is black: no place is right", "check the file")
    height, width = mask_HW.shape
    return tuple(box.scaled(size.width / width, size.height / height) for box in boxes_of(mask_HW))


def boxes_of(mask_HW: NDArray[np.bool_]) -> list[Box]:
    """bool[H, W] as boxes that cover it exactly and do not overlap: runs of each row, joined with
    equal runs of the rows below."""
    found: list[Box] = []
    open_runs: dict[tuple[int, int], int] = {}
    blank = np.zeros(mask_HW.shape[1], np.bool_)
    for y, row_W in enumerate([*mask_HW, blank]):
        edges = np.flatnonzero(np.diff(row_W.astype(np.int8), prepend=0, append=0))
        runs = {(int(x0), int(x1)) for x0, x1 in edges.reshape(-1, 2)}
        for run in [run for run in open_runs if run not in runs]:
            found.append(Box(run[0], open_runs.pop(run), run[1], y))
        for run in sorted(runs - open_runs.keys()):
            open_runs[run] = y
    return found


WHERE2PLACE = Benchmark(
    name="where2place",
    title="Where2Place",
    read=EachRow(_item, split("test")),
    metric=PointsInside(),
    max_tokens=1024,
    source=(
        "lmms_eval/tasks/where2place/utils.py and _default_template_yaml (0.7.3): fields question, "
        "image, mask, question_id. Differs: of the prompt's suffix (PROMPT_SUFFIX_JSON) only the "
        "sentence that asks for JSON stands, without the one that fixes a unit, since points are "
        "read in the model's own way of writing and judged in pixels"
    ),
)
