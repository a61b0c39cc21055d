"""The smallest letter, and the smallest object, that is still read: an eye chart."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.data.worlds import eye_chart
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes.judges import OneWord
from sightline.eval.probes.pictures import ChartPicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Smallest

SIDE = 128  # of the pictures, in pixels
LEVELS = (4.0, 5.6, 8.0, 11.0, 16.0, 22.0, 32.0, 45.0, 64.0)


def letters(seed: int, level: float, number: int) -> Sequence[Item]:
    """One letter, `level` pixels high."""
    return [_item("letter", seed, level, number)]


def objects(seed: int, level: float, number: int) -> Sequence[Item]:
    """One object, `level` pixels high."""
    return [_item("object", seed, level, number)]


def _item(sort: eye_chart.Sort, seed: int, level: float, number: int) -> Item:
    shown = eye_chart.heldout(seed, number, sort, level, SIDE)
    return Item(
        key=f"{sort}/{seed}/{level:g}/{number}",
        parts=asked_about(ChartPicture(shown), shown.question),
        truth=Answers((shown.name,)),
        kind=sort,
        group=sort,
        level=level,
    )


GLYPHS = Probe(
    name="acuity-glyphs",
    title="The smallest letter that is read",
    axis="height of the letter in pixels of the picture (128 × 128)",
    levels=LEVELS,
    per_level=20,
    make=letters,
    judge=OneWord(),
    reading=Smallest(
        "smallest letter, px", "px", "letters are read", 1 / len(eye_chart.names("letter"))
    ),
)
OBJECTS = Probe(
    name="acuity-objects",
    title="The smallest object whose shape is told",
    axis="height of the object in pixels of the picture (128 × 128)",
    levels=LEVELS,
    per_level=18,
    make=objects,
    judge=OneWord(),
    reading=Smallest(
        "smallest object, px", "px", "shapes are told", 1 / len(eye_chart.names("object"))
    ),
)
