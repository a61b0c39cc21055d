"""How far it can count."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.data.worlds.scenes.phrases import plural
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.metrics.numbers import Count
from sightline.eval.probes import staging
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Largest
from sightline.eval.probes.staging import Look

LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0)
_OTHERS = 3  # at most so many objects that do not count
_SMALLEST, _LARGEST = 0.09, 0.13


def counted(seed: int, level: float, number: int) -> Sequence[Item]:
    """All objects, and those of one shape among some others, in turn. Objects are of one size,
    however many there are, and clear of each other."""
    rng = staging.stream("counting", seed, level, number)
    kind = ("all", "shape")[number % 2]
    count = staging.whole("counting", level)
    if count < 1:
        raise DataError("counting", f"has {count} objects to be counted", "use 1 or more")
    question, looks = _all(rng, count) if kind == "all" else _one_shape(rng, count)
    rng.shuffle(looks)
    things = staging.scattered(rng, looks, _SMALLEST, _LARGEST)
    scene = scenes.Scene(things, staging.ground(rng))
    item = Item(
        key=f"counting/{seed}/{level:g}/{number}",
        parts=asked_about(ScenePicture(scene), question),
        truth=Answers((str(count),)),
        kind=kind,
        group=kind,
        level=level,
    )
    return [item]


def _all(rng: random.Random, count: int) -> tuple[str, list[Look]]:
    looks = [(_colour(rng), rng.choice(scenes.SHAPES)) for _ in range(count)]
    return "How many objects are there?", looks


def _one_shape(rng: random.Random, count: int) -> tuple[str, list[Look]]:
    shape = rng.choice(scenes.SHAPES)
    others = [other for other in scenes.SHAPES if other != shape]
    looks = [(_colour(rng), shape) for _ in range(count)]
    looks += [(_colour(rng), rng.choice(others)) for _ in range(rng.randint(0, _OTHERS))]
    return f"How many {plural(shape)} are there?", looks


def _colour(rng: random.Random) -> str:
    return rng.choice(list(scenes.COLOURS))


COUNTING = Probe(
    name="counting",
    title="How far it counts",
    axis="objects to be counted",
    levels=LEVELS,
    per_level=14,
    make=counted,
    judge=Count(),
    reading=Largest("counts up to, objects", "objects", "Counts"),
)
