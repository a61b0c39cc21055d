"""Which attribute belongs to which object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.data.worlds.scenes.phrases import article
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes import staging
from sightline.eval.probes.judges import Together
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Largest

LEVELS = (2.0, 3.0, 4.0, 5.0, 6.0)
KINDS = ("colour", "shape", "exists")
_VALUES = (tuple(scenes.COLOURS), scenes.SHAPES)
_SMALLEST, _LARGEST = 0.15, 0.19


def bound(seed: int, level: float, number: int) -> Sequence[Item]:
    """Objects that share no colour and no shape, then the same with two colours exchanged: both
    pictures hold the same colours, and the same shapes, at the same places."""
    rng = staging.stream("binding", seed, level, number)
    turn, at = divmod(number, len(KINDS))
    kind, count = KINDS[at], staging.whole("binding", level)
    if not 2 <= count <= len(scenes.SHAPES):
        fix = f"use 2 to {len(scenes.SHAPES)}"
        raise DataError("binding", f"has {count} objects of different shapes", fix)
    colours, shapes = (_pair(values, kind, seed, level, turn) for values in _VALUES)
    looks = staging.different(rng, count, colours, shapes)
    first, second, *others = staging.scattered(rng, looks, _SMALLEST, _LARGEST)
    pictures = (
        (first, second, *others),
        (_coloured(first, second), _coloured(second, first), *others),
    )
    question, answers = _asked(kind, first, second)
    backdrop, unit = staging.ground(rng), f"binding/{seed}/{level:g}/{number}"
    return [
        Item(
            key=f"{unit}/{place}",
            parts=asked_about(ScenePicture(scenes.Scene(things, backdrop)), question),
            truth=Answers((answer,)),
            kind=kind,
            group=kind,
            cluster=unit,
            unit=unit,
            level=level,
        )
        for place, (things, answer) in enumerate(zip(pictures, answers, strict=True))
    ]


def _pair(values: Sequence[str], kind: str, seed: int, level: float, turn: int) -> tuple[str, str]:
    """Two that differ, of which every one comes as often as the others."""
    name = f"binding/{kind}/{len(values)}"
    first, second = (
        staging.turn(values, name, seed, level, 2 * turn + place) for place in range(2)
    )
    return first, second


def _asked(kind: str, first: scenes.Thing, second: scenes.Thing) -> tuple[str, tuple[str, str]]:
    """A question, and its answers as they are and with the colours of the two exchanged."""
    match kind:
        case "colour":
            return f"What colour is the {first.shape}?", (first.colour, second.colour)
        case "shape":
            return f"What shape is the {first.colour} object?", (first.shape, second.shape)
        case _:
            noun = article(staging.name((first.colour, first.shape)))
            return f"Is there {noun}?", ("yes", "no")


def _coloured(one: scenes.Thing, like: scenes.Thing) -> scenes.Thing:
    return replace(one, colour=like.colour, rgb=like.rgb)


BINDING = Probe(
    name="binding",
    title="Which colour belongs to which shape, in pairs of pictures",
    axis="objects in the picture",
    levels=LEVELS,
    unit=2,
    per_level=15,
    make=bound,
    judge=Together(),
    reading=Largest("binds up to, objects", "objects", "Binds colours to shapes"),
)
