"""Where one object is from another: two pictures that differ in nothing else."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes import staging
from sightline.eval.probes.judges import Together
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Average
from sightline.eval.probes.staging import Look

LEVELS = (10.0, 15.0, 20.0, 30.0, 40.0)
KINDS = ("horizontal", "vertical", "depth")
_SOLID = ("circle", "square", "diamond")  # shapes that hide what they lie on
_ASKED = {
    "horizontal": ("Is the {a} left or right of the {b}?", "left", "right"),
    "vertical": ("Is the {a} above or below the {b}?", "above", "below"),
    "depth": ("Is the {a} in front of or behind the {b}?", "behind", "front"),
}
Pair = tuple[scenes.Scene, scenes.Scene]


def related(seed: int, level: float, number: int) -> Sequence[Item]:
    """Two objects, then the same two exchanged: places, or which lies on top."""
    if not 0 < level <= LEVELS[-1]:
        problem = f"has objects {level:g} % of the side apart"
        raise DataError("space", problem, f"use more than 0 and at most {LEVELS[-1]:g}")
    rng = staging.stream("space", seed, level, number)
    kind = KINDS[number % len(KINDS)]
    words, first, second = _ASKED[kind]
    shapes = _SOLID if kind == "depth" else scenes.SHAPES
    a, b = zip(rng.sample(list(scenes.COLOURS), 2), rng.sample(shapes, 2), strict=True)
    pair = _depth(rng, a, b, level / 100) if kind == "depth" else _beside(rng, a, b, level, kind)
    unit = f"space/{seed}/{level:g}/{number}"
    return [
        Item(
            key=f"{unit}/{answer}",
            parts=asked_about(
                ScenePicture(scene), words.format(a=staging.name(a), b=staging.name(b))
            ),
            truth=Answers((answer,)),
            kind=kind,
            group=kind,
            cluster=unit,
            unit=unit,
            level=level,
        )
        for scene, answer in zip(pair, (first, second), strict=True)
    ]


def _beside(rng: random.Random, a: Look, b: Look, level: float, kind: str) -> Pair:
    """`a` left of (above) `b`, then right of (below) it; across, they are almost level."""
    far = level / 100
    side = rng.uniform(0.7, 0.9) * min(far, 0.2)
    aside = rng.uniform(-0.2, 0.2) * far
    along, across = (far, aside) if kind == "horizontal" else (aside, far)
    (x0, y0), (x1, y1) = _ends(rng, along, across, side)
    backdrop = staging.ground(rng)
    first = (staging.thing(a, x0, y0, side), staging.thing(b, x1, y1, side))
    second = (staging.thing(a, x1, y1, side), staging.thing(b, x0, y0, side))
    return scenes.Scene(first, backdrop), scenes.Scene(second, backdrop)


def _depth(rng: random.Random, a: Look, b: Look, far: float) -> Pair:
    """`b` on top of `a`, then `a` on top of `b`, at the same places."""
    side, angle = 1.5 * far, rng.uniform(0, 2 * math.pi)
    (x0, y0), (x1, y1) = _ends(rng, far * math.cos(angle), far * math.sin(angle), side)
    things = (staging.thing(a, x0, y0, side), staging.thing(b, x1, y1, side))
    backdrop = staging.ground(rng)
    return scenes.Scene(things, backdrop), scenes.Scene(things[::-1], backdrop)


def _ends(
    rng: random.Random, along: float, across: float, side: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two centres so far apart, `along` x and `across` y, of objects that are whole."""
    x, y = (_start(rng, step, side) for step in (along, across))
    return (x, y), (x + along, y + across)


def _start(rng: random.Random, step: float, side: float) -> float:
    return rng.uniform(max(0.0, -step) + side / 2, min(1.0, 1 - step) - side / 2)


SPACE = Probe(
    name="space",
    title="Left, right, above, below, in front and behind, in pairs of pictures",
    axis="distance of the two objects in % of the picture's side",
    levels=LEVELS,
    per_level=18,
    make=related,
    unit=2,
    judge=Together(),
    reading=Average("pairs right over distances", "Pairs told apart"),
)
