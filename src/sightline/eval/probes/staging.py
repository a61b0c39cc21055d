"""Scenes made to order. Lengths are shares of the picture's side."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from sightline.core.errors import DataError
from sightline.data.worlds import scenes

Look = tuple[str, str]  # colour and shape
Value = TypeVar("Value")
_GAP = 0.03
_ONE = scenes.SceneDial(max_objects=1)


def stream(name: str, seed: int, level: float, number: int) -> random.Random:
    """The random numbers of one unit of a probe: of no other, and of no training row."""
    return random.Random(f"probe/{name}/{seed}/{level!r}/{number}")


def whole(name: str, level: float) -> int:
    """A level that counts something. Raises DataError for a fraction."""
    if level != int(level):
        raise DataError(name, f"has the level {level:g}", "use whole numbers")
    return int(level)


def turn(values: Sequence[Value], name: str, seed: int, level: float, number: int) -> Value:
    """Consecutive numbers take turns through the values, in an order drawn for every lap."""
    lap, at = divmod(number, len(values))
    order = list(values)
    stream(f"{name}/order", seed, level, lap).shuffle(order)
    return order[at]


def ground(rng: random.Random) -> scenes.Backdrop:
    """A background as scenes have it."""
    return scenes.scene(rng.getrandbits(32), 0, _ONE).backdrop


def thing(look: Look, x: float, y: float, side: float) -> scenes.Thing:
    """A plain object; its size is called by the band that is nearest."""
    colour, shape = look
    size = min(scenes.SIZES, key=lambda name: _away(side, *scenes.SIZES[name]))
    return scenes.Thing(shape, colour, size, "plain", scenes.COLOURS[colour], x, y, side)


def _away(side: float, low: float, high: float) -> float:
    return max(low - side, side - high, 0.0)


def scattered(
    rng: random.Random, looks: Sequence[Look], smallest: float, largest: float
) -> tuple[scenes.Thing, ...]:
    """Objects of these looks, each whole and clear of the others. Raises DataError for more than
    fit."""
    for _ in range(200):
        placed: list[scenes.Thing] = []
        for look in looks:
            found = _clear(rng, look, rng.uniform(smallest, largest), placed)
            if found is None:
                break
            placed.append(found)
        else:
            return tuple(placed)
    raise DataError("probe", f"{len(looks)} objects do not fit", "make them smaller")


def _clear(
    rng: random.Random, look: Look, side: float, placed: Sequence[scenes.Thing]
) -> scenes.Thing | None:
    for _ in range(60):
        x, y = (rng.uniform(side / 2, 1 - side / 2) for _ in range(2))
        reach = ((side + other.side) / 2 + _GAP for other in placed)
        if all(
            max(abs(x - other.x), abs(y - other.y)) >= far
            for other, far in zip(placed, reach, strict=True)
        ):
            return thing(look, x, y, side)
    return None


def shrunk(scene: scenes.Scene, share: float) -> scenes.Scene:
    """With its things that much smaller, and nearer to the middle."""
    return scenes.Scene(tuple(_nearer(one, share) for one in scene.things), scene.backdrop)


def _nearer(one: scenes.Thing, share: float) -> scenes.Thing:
    x, y = (0.5 + share * (at - 0.5) for at in (one.x, one.y))
    return replace(one, x=x, y=y, side=share * one.side)


def name(look: Look) -> str:
    """`red circle`."""
    return " ".join(look)


def different(
    rng: random.Random, count: int, colours: Sequence[str] = (), shapes: Sequence[str] = ()
) -> list[Look]:
    """At most six looks of which no two share a colour or a shape; those given come first."""
    drawn = (_more(rng, scenes.COLOURS, colours, count), _more(rng, scenes.SHAPES, shapes, count))
    return list(zip(*drawn, strict=True))


def _more(rng: random.Random, values: Iterable[str], given: Sequence[str], count: int) -> list[str]:
    others = [value for value in values if value not in given]
    return [*given, *rng.sample(others, max(0, count - len(given)))]
