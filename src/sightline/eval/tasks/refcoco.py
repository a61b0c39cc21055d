"""RefCOCO, RefCOCO+ and RefCOCOg: a phrase, and the box of what it means.

A folder's `val` files are read; name a file for `testA`, `testB` or `test`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sightline.core.geometry import Box
from sightline.eval.item import Boxes, Item
from sightline.eval.metrics.places import BoxIou
from sightline.eval.tasks.published import asked, grouped, picture_id, split
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import Benchmark

SOURCE = (
    "lmms_eval/tasks/refcoco_grounding/utils.py and _default_template_yaml (0.7.3): fields image, "
    "answer, bbox, question_id. Differs: each phrase of a row is asked alone, as refcoco/"
    "utils_rec.py does and as the papers count; the first box said is judged, in pixels, where "
    "lmms-eval takes the best of all boxes, each read as pixels and as thousandths"
)


def read(path: Path) -> Iterator[Item]:
    """Every phrase of every row. Raises DataError naming file and row."""
    return grouped(item for row in rows(path, *split("val")) for item in _items(row))


def _items(row: Row) -> Iterator[Item]:
    truth = Boxes((_box(row),))
    for number, phrase in enumerate(row.texts("answer"), 1):
        if not (words := phrase.strip()):
            raise row.wrong("answer", f"has an empty phrase {number}", "leave it out")
        yield asked(
            row,
            f'Locate every object that matches the description "{words}" in the image. '
            "Report bbox coordinates in JSON format.",
            truth,
            id=f"{row.text('question_id')} phrase {number}",
            kind="phrase",
            cluster=picture_id(row),
        )


def _box(row: Row) -> Box:
    """The file has the left upper corner, width and height, in pixels."""
    x, y, width, height = row.numbers("bbox", 4)
    if not (width > 0 and height > 0):
        raise row.wrong("bbox", f"is {width} wide and {height} high", "give x, y, width, height")
    return Box(x, y, x + width, y + height)


REFCOCO = Benchmark("refcoco", "RefCOCO", read, BoxIou(), 512, SOURCE)
REFCOCO_PLUS = Benchmark("refcoco_plus", "RefCOCO+", read, BoxIou(), 512, SOURCE)
REFCOCOG = Benchmark("refcocog", "RefCOCOg", read, BoxIou(), 512, SOURCE)
