"""What a scene is and how one is sampled. Lengths are fractions of the picture's side."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sightline.core.errors import DataError
from sightline.core.geometry import Box

Rgb = tuple[int, int, int]

COLOURS: Mapping[str, Rgb] = MappingProxyType(
    {
        "red": (222, 30, 38),
        "orange": (250, 138, 14),
        "yellow": (246, 224, 40),
        "green": (28, 150, 48),
        "cyan": (30, 210, 222),
        "blue": (34, 66, 222),
        "purple": (124, 34, 172),
        "pink": (252, 140, 196),
        "white": (248, 248, 248),
        "black": (14, 14, 16),
    }
)
SIZES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"small": (0.0, 0.105), "medium": (0.145, 0.19), "large": (0.26, 1.0)}
)  # side of the box; the gaps between the bands keep the names unambiguous
AREAS: Mapping[str, float] = MappingProxyType(
    {"circle": 0.785, "square": 1.0, "triangle": 0.5, "star": 0.427, "cross": 0.556, "diamond": 0.5}
)  # painted share of the shape's box
SHAPES: tuple[str, ...] = tuple(AREAS)
FILLS: tuple[str, ...] = ("plain", "striped", "dotted")
BACKDROPS: tuple[str, ...] = ("plain", "gradient", "noise", "checker")
MAX_OBJECTS = 8

_VISIBLE = 0.7  # share of every object that stays in sight
_OVERHANG = 0.04  # share of an object's side that may leave the picture
_GAP = 0.02  # distance between objects of one colour
_CROWD = 0.45  # total area of boxes, as a share of the picture
_COLOUR_NAMES = tuple(COLOURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneDial:
    """What scenes may hold. Names of sizes keep their meaning whatever the dial says.

    `smallest` and `largest` bound the side of an object as a share of the picture's side;
    a size name is used if some of its band (`SIZES`) lies between them.
    """

    min_objects: int = 1
    max_objects: int = MAX_OBJECTS
    smallest: float = 0.08
    largest: float = 0.34
    textures: bool = True
    backdrops: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.min_objects <= self.max_objects <= MAX_OBJECTS:
            given = f"{self.min_objects}..{self.max_objects}"
            raise DataError("dial.max_objects", f"{given} objects", "stay in 1..8, min <= max")
        if not 0 < self.smallest <= self.largest <= 0.9 or not self.bands():
            given = f"{self.smallest}..{self.largest}"
            raise DataError(
                "dial.smallest", f"{given} holds no size", f"touch one of {dict(SIZES)}"
            )

    def bands(self) -> dict[str, tuple[float, float]]:
        """The usable size names, smallest first, each with its range of sides."""
        ranges = {
            name: (max(low, self.smallest), min(high, self.largest))
            for name, (low, high) in SIZES.items()
        }
        return {name: (low, high) for name, (low, high) in ranges.items() if low <= high}


@dataclass(frozen=True, slots=True)
class Thing:
    """One object; its shape fills a square of side `side` around (x, y)."""

    shape: str
    colour: str
    size: str
    fill: str
    rgb: Rgb
    x: float
    y: float
    side: float

    @property
    def box(self) -> Box:
        """The full extent, covered parts included, clipped to the picture; 0..1."""
        half = self.side / 2
        return Box(
            max(0.0, self.x - half),
            max(0.0, self.y - half),
            min(1.0, self.x + half),
            min(1.0, self.y + half),
        )

    @property
    def phrase(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class Backdrop:
    """Two muted colours mixed by a field; `variant` picks direction, noise or cell count."""

    kind: str
    variant: int
    low: Rgb
    high: Rgb


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects in paint order: later ones lie on top."""

    things: tuple[Thing, ...]
    backdrop: Backdrop

    def in_order(self) -> tuple[Thing, ...]:
        """From left to right by centre: the order of captions."""
        return tuple(sorted(self.things, key=lambda thing: (thing.x, thing.y)))


def scene(seed: int, index: int, dial: SceneDial | None = None) -> Scene:
    """Scene number `index` of the endless series `seed`; depends on nothing else."""
    return sample_scene(random.Random(f"scene/{seed}/{index}"), dial or SceneDial())


def sample_scene(rng: random.Random, dial: SceneDial) -> Scene:
    """A scene from `rng`. Raises DataError if the dial asks for more than fits."""
    num = rng.randint(dial.min_objects, dial.max_objects)
    for _ in range(60):
        things = _arrange(rng, dial, num)
        if things is not None:
            return Scene(things, _backdrop(rng, dial))
    raise DataError("dial.max_objects", f"{num} objects do not fit", "lower it, or `smallest`")


def _arrange(rng: random.Random, dial: SceneDial, num: int) -> tuple[Thing, ...] | None:
    """`num` objects, large ones first and so below; None if there is no room."""
    bands = dial.bands()
    shapes = _leaning(rng, SHAPES, num)
    colours = _leaning(rng, _COLOUR_NAMES, num)
    placed: list[Thing] = []
    covered: list[float] = []
    for shape, colour, name in zip(shapes, colours, _size_names(rng, bands, num), strict=True):
        thing = _place(rng, dial, placed, covered, (shape, colour, name))
        if thing is None:
            return None
        placed.append(thing)
    return tuple(placed)


def _leaning(rng: random.Random, values: Sequence[str], num: int) -> list[str]:
    """`num` values; often one of them dominates, so that high counts occur."""
    roll = rng.random()
    lean = 0.0 if roll < 0.5 else 1.0 if roll < 0.7 else rng.uniform(0.3, 1.0)
    main = rng.choice(values)
    return [main if rng.random() < lean else rng.choice(values) for _ in range(num)]


def _size_names(
    rng: random.Random, bands: Mapping[str, tuple[float, float]], num: int
) -> list[str]:
    """`num` size names, largest first, shrunk until they leave enough background."""
    ladder = list(bands)
    area = [bands[name][1] ** 2 for name in ladder]
    levels = sorted((rng.randrange(len(ladder)) for _ in range(num)), reverse=True)
    total = sum(area[level] for level in levels)
    while total > _CROWD and levels[0] > 0:
        total += area[levels[0] - 1] - area[levels[0]]
        levels[0] -= 1
        levels.sort(reverse=True)
    return [ladder[level] for level in levels]


def _place(
    rng: random.Random,
    dial: SceneDial,
    placed: list[Thing],
    covered: list[float],
    look: tuple[str, str, str],
) -> Thing | None:
    """An object with room for it, or None; adds to `covered` what it hides of the others."""
    shape, colour, name = look
    low, high = dial.bands()[name]
    rgb = _jitter(rng, COLOURS[colour], 8)
    fill = rng.choice(FILLS) if dial.textures else "plain"
    for _ in range(40):
        side = rng.uniform(low, high)
        edge = side * (0.5 - _OVERHANG)
        x, y = rng.uniform(edge, 1 - edge), rng.uniform(edge, 1 - edge)
        hides = _hides(placed, covered, colour, (x, y, side))
        if hides is not None:
            covered[:] = hides
            covered.append(2 * _OVERHANG)
            return Thing(shape, colour, name, fill, rgb, x, y, side)
    return None


def _hides(
    placed: list[Thing], covered: list[float], colour: str, spot: tuple[float, float, float]
) -> list[float] | None:
    """Hidden share of each placed object's box with one more at `spot`; None if too much."""
    x, y, side = spot
    result = list(covered)
    for i, other in enumerate(placed):
        reach = (side + other.side) / 2
        across, down = reach - abs(x - other.x), reach - abs(y - other.y)
        if across <= -_GAP or down <= -_GAP:
            continue
        if colour == other.colour:
            return None
        if across > 0 and down > 0:
            result[i] += min(across, side) * min(down, side) / other.side**2
            if result[i] > (1 - _VISIBLE) * AREAS[other.shape]:
                return None
    return result


def _backdrop(rng: random.Random, dial: SceneDial) -> Backdrop:
    kind = rng.choice(BACKDROPS) if dial.backdrops else "plain"
    grey = rng.randint(90, 135)
    low = _jitter(rng, (grey, grey, grey), 12)
    step = rng.randint(14, 30)
    return Backdrop(kind, rng.randrange(8), low, _jitter(rng, (grey + step,) * 3, 8))


def _jitter(rng: random.Random, rgb: Sequence[int], amount: int) -> Rgb:
    red, green, blue = (min(255, max(0, v + rng.randint(-amount, amount))) for v in rgb)
    return red, green, blue
