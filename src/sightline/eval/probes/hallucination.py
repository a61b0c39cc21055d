"""Whether it sees what is not there, but would belong there."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.data.worlds.scenes.phrases import article
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes import staging
from sightline.eval.probes.judges import FalseYes
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Change
from sightline.eval.probes.staging import Look

SHOWN = len(scenes.SHAPES) - 1  # objects in a picture
LEVELS = tuple(float(kin) for kin in range(SHOWN + 1))
KINDS = ("shapes of a colour", "colours of a shape")
_COLOURS = ("red", "yellow", "green", "blue", "white", "black")  # a set of as many as shapes
_SMALLEST, _LARGEST = 0.15, 0.19


def missing(seed: int, level: float, number: int) -> Sequence[Item]:
    """One of a set (the six shapes of one colour, or six colours of one shape), of which `level`
    others are in sight beside objects that have no part in it: the same question about a picture
    without it, and about one in which it stands for one of these, or of its set where all are."""
    kin = staging.whole("hallucination", level)
    if not 0 <= kin <= SHOWN:
        raise DataError("hallucination", f"has {kin} of a set in sight", f"use 0 to {SHOWN}")
    rng = staging.stream("hallucination", seed, level, number)
    kind = KINDS[number % len(KINDS)]
    asked, *others = _set(rng, kind)
    looks = [*others[:kin], *_strangers(rng, asked, SHOWN - kin)]
    things = staging.scattered(rng, looks, _SMALLEST, _LARGEST)
    at = rng.randrange(kin % SHOWN, SHOWN)
    there = list(things)
    there[at] = staging.thing(asked, things[at].x, things[at].y, things[at].side)
    backdrop, unit = staging.ground(rng), f"hallucination/{seed}/{level:g}/{number}"
    question = f"Is there {article(staging.name(asked))}?"
    return [
        Item(
            key=f"{unit}/{truth}",
            parts=asked_about(ScenePicture(scenes.Scene(tuple(shown), backdrop)), question),
            truth=Answers((truth,)),
            kind=kind,
            group="exists",
            cluster=unit,
            unit=unit,
            level=level,
        )
        for truth, shown in (("no", things), ("yes", there))
    ]


def _set(rng: random.Random, kind: str) -> list[Look]:
    """All of a set, in a random order."""
    if kind == "shapes of a colour":
        colour = rng.choice(list(scenes.COLOURS))
        looks = [(colour, shape) for shape in scenes.SHAPES]
    else:
        shape = rng.choice(scenes.SHAPES)
        looks = [(colour, shape) for colour in _COLOURS]
    rng.shuffle(looks)
    return looks


def _strangers(rng: random.Random, asked: Look, count: int) -> list[Look]:
    """Objects of another colour and another shape."""
    colours = [colour for colour in scenes.COLOURS if colour != asked[0]]
    shapes = [shape for shape in scenes.SHAPES if shape != asked[1]]
    return [(rng.choice(colours), rng.choice(shapes)) for _ in range(count)]


HALLUCINATION = Probe(
    name="hallucination",
    title="What belongs and is absent",
    axis="others of its set in sight",
    levels=LEVELS,
    unit=2,
    per_level=12,
    make=missing,
    judge=FalseYes(),
    drawn=1,
    reading=Change(
        "more false yes with its set, points",
        "of absent objects are seen with none of their set in sight",
        "with all the others",
    ),
)
