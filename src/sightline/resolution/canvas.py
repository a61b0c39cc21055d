"""One view a frame on a canvas of whole tiles: Llama 3.2 Vision's resolution."""

from __future__ import annotations

import math

from sightline.core.geometry import Grid, Size
from sightline.resolution.frames import Group
from sightline.resolution.layout import Canvas, View
from sightline.spec import CanvasSpec


def view(policy: CanvasSpec, picture: Size, frames: Group) -> View:
    """A view of whole tiles, as transformers 5.23's `MllamaImageProcessor` cuts it; the ratios are
    floats there, too."""
    tiles = best_tiles(policy, picture)
    canvas = Size(tiles.cols * policy.size, tiles.rows * policy.size)
    return View(0, Canvas(picture), fitted(policy, picture, canvas), Canvas(canvas), frames)


def best_tiles(policy: CanvasSpec, picture: Size) -> Grid:
    """The canvas that enlarges the picture least, else shrinks it least; of equals the smallest,
    of these the flattest."""

    def scale(tiles: Grid) -> float:
        rows, cols = tiles.rows * policy.size, tiles.cols * policy.size
        return min(rows / picture.height, cols / picture.width)

    choices = arrangements(policy.tiles)
    enlarging = [scale(tiles) for tiles in choices if scale(tiles) >= 1]
    best = min(enlarging) if enlarging else max(map(scale, choices))
    return min((tiles for tiles in choices if scale(tiles) == best), key=lambda tiles: tiles.area)


def arrangements(tiles: int) -> list[Grid]:
    """Every grid of at most `tiles`, by rows, then by columns."""
    sides = range(1, tiles + 1)
    return [Grid(rows, cols) for rows in sides for cols in sides if rows * cols <= tiles]


def fitted(policy: CanvasSpec, picture: Size, canvas: Size) -> Size:
    """The picture scaled in its proportions: a side is at most the canvas, and enlarged to at most
    one tile."""
    width = min(max(picture.width, policy.size), canvas.width)
    height = min(max(picture.height, policy.size), canvas.height)
    across, down = width / picture.width, height / picture.height
    if across < down:
        return Size(width, min(math.floor(picture.height * across) or 1, height))
    return Size(min(math.floor(picture.width * down) or 1, width), height)
