"""What happened first, and what happened at all."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core.errors import DataError
from sightline.data.sample import Media
from sightline.data.worlds import scenes
from sightline.data.worlds.clips import Clip, Event
from sightline.eval.item import Answers, Item
from sightline.eval.probes import staging
from sightline.eval.probes.judges import OneWord, Together
from sightline.eval.probes.pictures import FramePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Smallest

SIDE = 112  # of the frames, in pixels
FPS = 8.0
ORDER_FRAMES = 32
GAPS = (1.0, 2.0, 4.0, 8.0, 16.0)
BUDGET_FRAMES = 64
LENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_SMALLEST, _LARGEST = 0.26, 0.34


def order(seed: int, level: float, number: int) -> Sequence[Item]:
    """Two objects appear, one `level` frames after the other, and stay; then the same in the other
    order. The question is the same."""
    gap = _frames("video-order", level, ORDER_FRAMES - 2)
    rng = staging.stream("video-order", seed, level, number)
    a, b = staging.scattered(rng, staging.different(rng, 2), _SMALLEST, _LARGEST)
    start = rng.randint(1, ORDER_FRAMES - gap - 1)
    backdrop = staging.ground(rng)
    question = f"Which object appears first, the {a.colour} one or the {b.colour} one?"
    unit = f"video-order/{seed}/{level:g}/{number}"
    items = []
    for first, second in ((a, b), (b, a)):
        events = Event(first, start, ORDER_FRAMES), Event(second, start + gap, ORDER_FRAMES)
        shown = Clip(ORDER_FRAMES, backdrop, events)
        items.append(_item(unit, "order", shown, question, first.colour, level))
    return items


def budget(seed: int, level: float, number: int) -> Sequence[Item]:
    """An object in sight for `level` frames, anywhere in the clip."""
    length = _frames("video-budget", level, BUDGET_FRAMES)
    rng = staging.stream("video-budget", seed, level, number)
    colour = staging.turn(tuple(scenes.COLOURS), "video-budget", seed, level, number)
    [shown] = staging.scattered(rng, staging.different(rng, 1, (colour,)), _SMALLEST, _LARGEST)
    start = rng.randint(0, BUDGET_FRAMES - length)
    clip = Clip(BUDGET_FRAMES, staging.ground(rng), (Event(shown, start, start + length),))
    unit = f"video-budget/{seed}/{level:g}/{number}"
    return [_item(unit, "glimpse", clip, "What colour is the object?", shown.colour, level)]


def _frames(name: str, level: float, most: int) -> int:
    count = staging.whole(name, level)
    if not 1 <= count <= most:
        raise DataError(name, f"has the level {count}", f"use 1 to {most} frames")
    return count


def _item(unit: str, kind: str, clip: Clip, question: str, answer: str, level: float) -> Item:
    frames = [FramePicture(clip, index, SIDE) for index in range(clip.num_frames)]
    return Item(
        key=f"{unit}/{answer}",
        parts=(Media("video", frames, FPS), question),
        truth=Answers((answer,)),
        kind=kind,
        group=kind,
        cluster=unit,
        unit=unit,
        level=level,
    )


ORDER = Probe(
    name="video-order",
    title="Which of two objects appears first, in pairs of clips",
    axis=f"frames between the two (of {ORDER_FRAMES}, {FPS:g} a second)",
    levels=GAPS,
    unit=2,
    per_level=12,
    make=order,
    judge=Together(),
    reading=Smallest("shortest gap, frames", "frames", "orders are told", 1 / 4),
)
BUDGET = Probe(
    name="video-budget",
    title="An object in sight for part of a clip",
    axis=f"frames that it is in sight for (of {BUDGET_FRAMES}, {FPS:g} a second)",
    levels=LENGTHS,
    per_level=20,
    make=budget,
    judge=OneWord(),
    reading=Smallest(
        "shortest event, frames", "frames", "events are seen", 1 / len(scenes.COLOURS)
    ),
)
