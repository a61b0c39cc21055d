"""Where in the picture it sees best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes import staging
from sightline.eval.probes.judges import OneWord
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Points, percent

GRID = 5
LEVELS = tuple(float(cell) for cell in range(1, GRID * GRID + 1))
_SMALLEST, _LARGEST = 0.13, 0.17


def placed(seed: int, level: float, number: int) -> Sequence[Item]:
    """One object, whole, in cell `level` of a 5 × 5 grid, counted row by row. Every cell gets every
    shape in turn."""
    row, column = cell(level)
    rng = staging.stream("position", seed, level, number)
    shape = staging.turn(scenes.SHAPES, "position", seed, level, number)
    colour, side = rng.choice(list(scenes.COLOURS)), rng.uniform(_SMALLEST, _LARGEST)
    room = 1 / GRID - side
    x, y = (at / GRID + side / 2 + rng.uniform(0, room) for at in (column, row))
    scene = scenes.Scene((staging.thing((colour, shape), x, y, side),), staging.ground(rng))
    item = Item(
        key=f"position/{seed}/{level:g}/{number}",
        parts=asked_about(ScenePicture(scene), f"What shape is the {colour} object?"),
        truth=Answers((shape,)),
        kind="rim" if on_rim(level) else "middle",
        group="shape",
        level=level,
    )
    return [item]


def cell(level: float) -> tuple[int, int]:
    """Row and column, from 0. Raises DataError for a cell that is not there."""
    number = staging.whole("position", level)
    if not 1 <= number <= GRID * GRID:
        raise DataError("position", f"has no cell {number}", f"use 1 to {GRID * GRID}")
    return divmod(number - 1, GRID)


def on_rim(level: float) -> bool:
    """Whether a cell touches the edge of the picture."""
    return bool(set(cell(level)) & {0, GRID - 1})


@dataclass(frozen=True, slots=True)
class Middle:
    """The cells within less those at the rim; NaN without both."""

    name: str = "better in the middle, points"
    unit: str = "points"
    higher_is_better: bool | None = None

    def value(self, points: Points) -> float:
        return mean(points, rim=False) - mean(points, rim=True)

    def words(self, points: Points) -> str:
        level, worst = min(points, key=lambda point: point[1])
        row, column = cell(level)
        middle, rim = (percent(mean(points, rim=where)) for where in (False, True))
        told = f"{middle} right in the middle, {rim} at the rim"
        if worst == max(value for _, value in points):
            return f"{told}; no cell is worse than another."
        where = f"row {row + 1}, column {column + 1}"
        return f"{told}; the worst cell is {where} with {percent(worst)}."


def mean(points: Points, *, rim: bool) -> float:
    """Over the cells that touch the edge, or over the others."""
    values = [value for level, value in points if on_rim(level) == rim]
    return sum(values) / len(values) if values else float("nan")


POSITION = Probe(
    name="position",
    title="Where in the picture it sees",
    axis="cell of a 5 × 5 grid, row by row",
    levels=LEVELS,
    per_level=6,
    make=placed,
    judge=OneWord(),
    reading=Middle(),
)
