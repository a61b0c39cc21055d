"""Scene -> pixels. Shapes are painted 4 times too large, then reduced: smooth edges."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from sightline.core.errors import DataError
from sightline.data.worlds.scenes.scene import Backdrop, Rgb, Scene, Thing

_FINE = 4  # supersampling
_SHADE = 0.17  # how far a texture moves a colour towards white or black


def draw(scene: Scene, side: int) -> NDArray[np.uint8]:
    """uint8[side, side, 3], RGB."""
    if side < 8:
        raise DataError("side", f"{side} pixels", "draw at 8 pixels or more")
    canvas = Image.fromarray(_background(scene.backdrop, side))
    for thing in scene.things:
        _paint(canvas, thing, side)
    return np.array(canvas)


def _background(backdrop: Backdrop, side: int) -> NDArray[np.uint8]:
    low = np.array(backdrop.low, np.float32)
    high = np.array(backdrop.high, np.float32)
    field = _field(backdrop.kind, backdrop.variant, side)
    mixed: NDArray[np.float32] = low + (high - low) * field[:, :, None]
    return mixed.astype(np.uint8)


@lru_cache(maxsize=32)
def _field(kind: str, variant: int, side: int) -> NDArray[np.float32]:
    """float32[side, side] in 0..1: how much of the second colour."""
    if kind == "gradient":
        angle = variant * math.pi / 4
        ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
        slope = ramp[None, :] * math.cos(angle) + ramp[:, None] * math.sin(angle)
        return np.asarray(slope / (2 * np.abs(slope).max()) + 0.5, np.float32)
    if kind == "checker":
        cell = np.arange(side) * (variant + 4) // side
        return np.asarray((cell[:, None] + cell[None, :]) % 2, np.float32)
    if kind == "noise":
        grain = np.random.Generator(np.random.Philox(key=variant)).random((56, 56))
        coarse = Image.fromarray(grain.astype(np.float32))
        return np.array(coarse.resize((side, side), Image.Resampling.BILINEAR), np.float32)
    return np.zeros((side, side), np.float32)


def _paint(canvas: Image.Image, thing: Thing, side: int) -> None:
    """Blend one object into the picture, its texture last."""
    left, top = _corner(thing, side)
    alpha = mask(thing, side)
    canvas.paste(thing.rgb, (left, top), alpha)
    if thing.fill != "plain":
        period = max(3, round(thing.side * side / 6))
        texture = _texture(thing.fill, period, alpha.size)
        canvas.paste(_shade(thing.rgb), (left, top), ImageChops.multiply(alpha, texture))


def mask(thing: Thing, side: int) -> Image.Image:
    """The object's coverage, mode L, 0..255; its top left pixel is floor of the full box."""
    left, top = _corner(thing, side)
    x0, y0 = (thing.x - thing.side / 2) * side - left, (thing.y - thing.side / 2) * side - top
    length = thing.side * side
    width, height = math.ceil(x0 + length), math.ceil(y0 + length)
    fine = Image.new("L", (width * _FINE, height * _FINE))
    x0, y0, length = x0 * _FINE, y0 * _FINE, length * _FINE
    pen = ImageDraw.Draw(fine)
    if thing.shape == "circle":
        pen.ellipse((x0, y0, x0 + length - 1, y0 + length - 1), fill=255)
    else:
        outline = [(x0 + x * (length - 1), y0 + y * (length - 1)) for x, y in _outline(thing.shape)]
        pen.polygon(outline, fill=255)
    return fine.reduce(_FINE)


def _corner(thing: Thing, side: int) -> tuple[int, int]:
    half = thing.side / 2
    return math.floor((thing.x - half) * side), math.floor((thing.y - half) * side)


@lru_cache(maxsize=8)
def _outline(shape: str) -> tuple[tuple[float, float], ...]:
    """Corners in the unit square, which the shape touches on all four sides."""
    a, b = 1 / 3, 2 / 3
    match shape:
        case "square":
            return ((0, 0), (1, 0), (1, 1), (0, 1))
        case "triangle":
            return ((0.5, 0), (1, 1), (0, 1))
        case "diamond":
            return ((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5))
        case "cross":
            return (
                *((a, 0), (b, 0), (b, a), (1, a), (1, b), (b, b)),
                *((b, 1), (a, 1), (a, b), (0, b), (0, a), (a, a)),
            )
        case "star":
            return _star()
        case _:
            raise DataError("shape", f"{shape!r} has no outline", "use one of SHAPES")


def _star() -> tuple[tuple[float, float], ...]:
    """Five points, inner radius half the outer, stretched to fill the unit square."""
    radius = [1.0 if i % 2 == 0 else 0.5 for i in range(10)]
    xs = [r * math.sin(i * math.pi / 5) for i, r in enumerate(radius)]
    ys = [-r * math.cos(i * math.pi / 5) for i, r in enumerate(radius)]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    return tuple(
        ((x - min(xs)) / width, (y - min(ys)) / height) for x, y in zip(xs, ys, strict=True)
    )


@lru_cache(maxsize=512)
def _texture(fill: str, period: int, size: tuple[int, int]) -> Image.Image:
    """Stripes or dots, mode L, 0 or 255, `period` pixels apart."""
    across, down = np.arange(size[0])[None, :], np.arange(size[1])[:, None]
    if fill == "striped":
        marks = (across + down) % period < period / 2
    else:
        half = (period + 1) // 2
        marks = (across % period < half) & (down % period < half)
    return Image.fromarray((marks * 255).astype(np.uint8))


def _shade(rgb: Rgb) -> Rgb:
    """The colour a sixth nearer to black, or to white if it is dark."""
    goal = 255 if sum(rgb) < 200 else 0
    red, green, blue = (round(value + (goal - value) * _SHADE) for value in rgb)
    return red, green, blue
