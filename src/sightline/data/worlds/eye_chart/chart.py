"""Charts: what one shows, how they are sampled, and their pixels. Lengths are in pixels."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.data.worlds import scenes
from sightline.data.worlds.eye_chart.glyphs import LETTERS, glyph

Sort = Literal["letter", "object"]
SORTS: tuple[Sort, ...] = ("letter", "object")
INKS: tuple[str, ...] = ("black", "white")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartDial:
    """A square picture of `side` pixels; what it shows is `smallest` to `largest` pixels high, as
    many small as large ones: the logarithm of the height is even. `plain`: on even grounds."""

    side: int = 128
    smallest: float = 4.0
    largest: float = 112.0
    plain: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.largest <= self.side:
            given = f"{self.smallest:g}..{self.largest:g} in {self.side}"
            raise DataError("dial.smallest", f"{given} pixels", "stay in 1..side, smallest first")


@dataclass(frozen=True, slots=True)
class Chart:
    """One letter, black or white, or one coloured object, `size` pixels high and wide around
    (x, y), on a ground of `side` × `side` pixels."""

    sort: Sort
    name: str
    colour: str
    size: float
    x: float
    y: float
    side: int
    ground: scenes.Backdrop

    @property
    def box(self) -> Box:
        """Where it is, in pixels."""
        half = self.size / 2
        return Box(self.x - half, self.y - half, self.x + half, self.y + half)

    @property
    def question(self) -> str:
        if self.sort == "letter":
            return "What letter is shown?"
        return f"What shape is the {self.colour} object?"


def names(sort: Sort) -> tuple[str, ...]:
    """What a chart of this sort may show, each as often as the others."""
    match sort:
        case "letter":
            return LETTERS
        case "object":
            return scenes.SHAPES
        case _:
            assert_never(sort)


def chart(seed: int, index: int, sort: Sort, dial: ChartDial | None = None) -> Chart:
    """Chart number `index` of the endless series `seed`; depends on nothing else."""
    dial = dial or ChartDial()
    rng = random.Random(f"eye chart/{seed}/{index}/{sort}")
    low, high = math.log(dial.smallest), math.log(dial.largest)
    size = min(max(math.exp(rng.uniform(low, high)), dial.smallest), dial.largest)
    return _placed(rng, sort, rng.choice(names(sort)), size, dial)


def heldout(seed: int, index: int, sort: Sort, size: float, side: int = 128) -> Chart:
    """A chart of a given height, from a series that is independent of `chart`'s.

    Consecutive indices take turns through what can be shown, in an order drawn for every lap.
    """
    dial = ChartDial(side=side, smallest=size, largest=size)
    lap, turn = divmod(index, len(names(sort)))
    order = list(names(sort))
    random.Random(f"held-out order/{seed}/{lap}/{sort}/{size!r}").shuffle(order)
    rng = random.Random(f"held-out eye chart/{seed}/{index}/{sort}/{size!r}/{side}")
    return _placed(rng, sort, order[turn], size, dial)


def _placed(rng: random.Random, sort: Sort, name: str, size: float, dial: ChartDial) -> Chart:
    """Somewhere in the picture, whole, on a ground of its own."""
    colours = INKS if sort == "letter" else tuple(scenes.COLOURS)
    grounds = scenes.SceneDial(max_objects=1, backdrops=not dial.plain)
    ground = scenes.scene(rng.getrandbits(32), 0, grounds).backdrop
    x, y = (rng.uniform(size / 2, dial.side - size / 2) for _ in range(2))
    return Chart(sort, name, rng.choice(colours), size, x, y, dial.side, ground)


def draw(shown: Chart) -> NDArray[np.uint8]:
    """uint8[side, side, 3], RGB."""
    if shown.sort == "object":
        return scenes.draw(scenes.Scene((_thing(shown),), shown.ground), shown.side)
    canvas = Image.fromarray(scenes.draw(scenes.Scene((), shown.ground), shown.side))
    left, top = math.floor(shown.box.x0), math.floor(shown.box.y0)
    coverage = glyph(shown.name, shown.box.x0 - left, shown.box.y0 - top, shown.size)
    canvas.paste(scenes.COLOURS[shown.colour], (left, top), coverage)
    return np.array(canvas)


def _thing(shown: Chart) -> scenes.Thing:
    """The object as scenes know it. (The name of its size is never asked for.)"""
    side = shown.side
    rgb = scenes.COLOURS[shown.colour]
    place = (shown.x / side, shown.y / side, shown.size / side)
    return scenes.Thing(shown.name, shown.colour, "small", "plain", rgb, *place)
