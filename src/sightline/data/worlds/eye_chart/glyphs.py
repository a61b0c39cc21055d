"""The ten letters of Sloan's eye charts (L. Sloan 1959), as shapes, not as bitmaps of a font.

Every letter fills a square, its strokes a fifth of the square wide. Small letters are the large
ones, averaged over each pixel: nothing is hinted, so a letter of 6 pixels holds what a camera would
see of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from PIL import Image, ImageDraw

from sightline.core.errors import DataError

_FINE_SIDE = 320  # a letter is painted at least so many fine pixels high, then averaged
_GRID = 5  # strokes to a side
_INK, _PAPER = 255, 0
Corner = tuple[float, float]


class _Pen:
    """Draws in the 5 × 5 grid of a letter whose box begins at (left, top), `length` fine pixels."""

    def __init__(self, canvas: Image.Image, left: float, top: float, length: float) -> None:
        self.draw = ImageDraw.Draw(canvas)
        self.left, self.top, self.scale = left, top, (length - 1) / _GRID

    def at(self, x: float, y: float) -> Corner:
        return self.left + x * self.scale, self.top + y * self.scale

    def area(self, *corners: Corner, fill: int = _INK) -> None:
        self.draw.polygon([self.at(x, y) for x, y in corners], fill=fill)

    def bar(self, x0: float, y0: float, x1: float, y1: float, fill: int = _INK) -> None:
        self.area((x0, y0), (x1, y0), (x1, y1), (x0, y1), fill=fill)

    def oval(self, x0: float, y0: float, x1: float, y1: float, fill: int = _INK) -> None:
        self.draw.ellipse((*self.at(x0, y0), *self.at(x1, y1)), fill=fill)


def _c(pen: _Pen) -> None:
    _o(pen)
    pen.bar(2.5, 2, 5.1, 3, _PAPER)


def _d(pen: _Pen) -> None:
    pen.oval(0, 0, 5, 5)
    pen.bar(0, 0, 2.5, 5)
    pen.oval(1, 1, 4, 4, _PAPER)
    pen.bar(1, 1, 2.5, 4, _PAPER)


def _h(pen: _Pen) -> None:
    pen.bar(0, 0, 1, 5)
    pen.bar(4, 0, 5, 5)
    pen.bar(0, 2, 5, 3)


def _k(pen: _Pen) -> None:
    pen.bar(0, 0, 1, 5)
    pen.area((3.7, 0), (5, 0), (1, 4), (1, 2.7))
    pen.area((2.7, 1.6), (5, 5), (3.7, 5), (1.9, 2.4))


def _n(pen: _Pen) -> None:
    pen.bar(0, 0, 1, 5)
    pen.bar(4, 0, 5, 5)
    pen.area((0, 0), (1.2, 0), (5, 5), (3.8, 5))


def _o(pen: _Pen) -> None:
    pen.oval(0, 0, 5, 5)
    pen.oval(1, 1, 4, 4, _PAPER)


def _r(pen: _Pen) -> None:
    pen.bar(0, 0, 3.5, 3)
    pen.oval(2, 0, 5, 3)
    pen.bar(1, 1, 3.5, 2, _PAPER)
    pen.oval(3, 1, 4, 2, _PAPER)
    pen.bar(0, 0, 1, 5)
    pen.area((2.2, 3), (3.5, 3), (5, 5), (3.7, 5))


def _s(pen: _Pen) -> None:
    bends = ((3.5, 1.5, -15, -90), (1.5, 1.5, -90, -270), (3.5, 3.5, -90, 90), (1.5, 3.5, 90, 165))
    pen.area(*_bent(bends, 1.5), *reversed(_bent(bends, 0.5)))


def _bent(bends: Sequence[tuple[float, float, int, int]], outer: float) -> list[Corner]:
    """One edge of a stroke along arcs around (x, y), in degrees from and to; where an arc turns the
    other way, the edge that was outside is inside."""
    corners = []
    for x, y, start, stop in bends:
        radius = outer if stop < start else 2 - outer
        for step in range(25):
            angle = math.radians(start + (stop - start) * step / 24)
            corners.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return corners


def _v(pen: _Pen) -> None:
    pen.area((0, 0), (1.3, 0), (2.5, 3.5), (3.7, 0), (5, 0), (3.1, 5), (1.9, 5))


def _z(pen: _Pen) -> None:
    pen.bar(0, 0, 5, 1)
    pen.bar(0, 4, 5, 5)
    pen.area((3.6, 1), (5, 1), (1.4, 4), (0, 4))


_DRAWN: Mapping[str, Callable[[_Pen], None]] = MappingProxyType(
    {"C": _c, "D": _d, "H": _h, "K": _k, "N": _n, "O": _o, "R": _r, "S": _s, "V": _v, "Z": _z}
)
LETTERS: tuple[str, ...] = tuple(_DRAWN)


def glyph(letter: str, left: float, top: float, size: float) -> Image.Image:
    """Coverage of each pixel, mode L, 0..255: a letter `size` pixels high and wide whose box begins
    `left` and `top` pixels (0 <= each < 1) into the picture. Raises DataError for other letters."""
    if letter not in _DRAWN:
        raise DataError("letter", f"{letter!r:.20} is not drawn", f"use one of {''.join(LETTERS)}")
    width, height = math.ceil(left + size), math.ceil(top + size)
    fine = math.ceil(_FINE_SIDE / size)
    canvas = Image.new("L", (width * fine, height * fine))
    _DRAWN[letter](_Pen(canvas, left * fine, top * fine, size * fine))
    return canvas.reduce(fine)
