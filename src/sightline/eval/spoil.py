"""Spoil a picture without changing its size: cells in another order, or blurred."""

# F frames  H height  W width  S cells on a side

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sightline.core.errors import DataError
from sightline.data.sample import Media
from sightline.pictures.gateway import open_picture

Rgb = NDArray[np.uint8]


def seeded(seed: int, key: str, number: int) -> Random:
    """The same draws for the same three in any process and any version of Python, as long as only
    `random()` is drawn from it."""
    return Random(f"{seed}/{number}/{key}")


def shuffled(medium: Media, side: int, rng: Random, key: str) -> Media:
    """A picture as `shuffled_cells` (uint8[H, W, 3]), a clip with its frames in another order.

    Raises DataError naming `key` for a picture with a side under `side` pixels, a clip of one
    frame, and a clip or document in a file.
    """
    match medium.kind:
        case "image":
            return Media("image", shuffled_cells(_opened(medium.source), side, rng, key))
        case "video":
            frames = _frames(medium, key)
            if len(frames) < 2:
                raise DataError(key, "has a clip of one frame", "leave the control shuffled out")
            return Media("video", [frames[at] for at in _cycle(len(frames), rng)], medium.fps)
        case "document":
            raise _refused(medium, key)
        case _:
            assert_never(medium.kind)


def blurred(medium: Media, share: float, key: str) -> Media:
    """A picture, or every frame of a clip, blurred: uint8[H, W, 3].

    Gaussian of standard deviation `share` · the shorter side, in pixels, as Pillow approximates it
    by three box filters (Gwosdek et al. 2011). Edges mirror what is inside, so that with a growing
    share nothing but the mean colour is left. Raises DataError naming `key` for a clip or document
    in a file.
    """
    match medium.kind:
        case "image":
            return Media("image", _blurred(medium.source, share))
        case "video":
            frames = [_blurred(frame, share) for frame in _frames(medium, key)]
            return Media("video", frames, medium.fps)
        case "document":
            raise _refused(medium, key)
        case _:
            assert_never(medium.kind)


def shuffled_cells(rgb_HW3: Rgb, side: int, rng: Random, key: str) -> Rgb:
    """uint8[H, W, 3] of the same size and the same pixels.

    Cell i of a side of length n spans [i · n // side, (i + 1) · n // side), so that sides of cells
    differ by at most one pixel. Cells trade places with cells of exactly their size; each moves,
    unless it is the only one of its size. Raises DataError for a side under `side` pixels.
    """
    height, width, _ = rgb_HW3.shape
    if min(height, width) < side:
        problem = f"has a picture of {width} × {height} pixels, too small for {side} cells a side"
        raise DataError(key, problem, "use fewer cells (shuffled:2), or leave the control out")
    cells: dict[tuple[int, int], list[tuple[slice, slice]]] = {}
    for rows in _cuts(height, side):
        for columns in _cuts(width, side):
            size = rows.stop - rows.start, columns.stop - columns.start
            cells.setdefault(size, []).append((rows, columns))
    out = rgb_HW3.copy()
    for places in cells.values():
        for place, source in zip(places, _cycle(len(places), rng), strict=True):
            out[place] = rgb_HW3[places[source]]
    return out


def _cuts(length: int, side: int) -> list[slice]:
    return [slice(i * length // side, (i + 1) * length // side) for i in range(side)]


def _cycle(count: int, rng: Random) -> list[int]:
    """A random order in which nothing stays where it is: one cycle through all (Sattolo 1986)."""
    order = list(range(count))
    for last in range(count - 1, 0, -1):
        other = int(rng.random() * last)
        order[last], order[other] = order[other], order[last]
    return order


def _blurred(source: Any, share: float) -> Rgb:
    rgb_HW3 = _opened(source)
    radius = share * min(rgb_HW3.shape[:2])
    along_WH3 = _blurred_along(rgb_HW3, radius).transpose(1, 0, 2)
    return np.ascontiguousarray(_blurred_along(along_WH3, radius).transpose(1, 0, 2))


def _blurred_along(rgb_HW3: Rgb, radius: float) -> Rgb:
    """Every row blurred. The three boxes together reach three radii."""
    reach = math.ceil(3 * radius) + 1
    wide = np.pad(rgb_HW3, ((0, 0), (reach, reach), (0, 0)), "symmetric")
    blur = ImageFilter.GaussianBlur((radius, 0))
    return np.asarray(Image.fromarray(wide).filter(blur))[:, reach:-reach]


def _opened(source: Any) -> Rgb:
    return open_picture(source).rgb


def _frames(medium: Media, key: str) -> Sequence[Any]:
    if isinstance(medium.source, np.ndarray | list | tuple):
        return medium.source  # type: ignore[return-value]
    raise _refused(medium, key)


def _refused(medium: Media, key: str) -> DataError:
    what = {"image": "picture", "video": "clip", "document": "document"}[medium.kind]
    parts = "frames as a list of pictures" if medium.kind == "video" else "pages as pictures"
    problem = f"has a {what} in a file, which cannot be shuffled or blurred"
    return DataError(key, problem, f"give its {parts}, or leave shuffled and blurred out")
