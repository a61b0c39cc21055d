"""Sheets of square tiles: the resolution of InternVL 1.5 and its successors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution.count import features
from sightline.resolution.frames import Group
from sightline.resolution.layout import Canvas, Segment, View
from sightline.spec import ModelSpec, TilingSpec


def lay(
    spec: ModelSpec, policy: TilingSpec, media: MediaSize, frames: Sequence[Group]
) -> tuple[tuple[View, ...], tuple[Segment, ...]]:
    """Views and segments of one picture or clip, every view a run of its own."""
    one = whole if media.video else views
    laid = tuple(view for group in frames for view in one(policy, media.size, group))
    return laid, tuple(features(spec, view, i, i) for i, view in enumerate(laid))


def views(policy: TilingSpec, picture: Size, frames: Group) -> tuple[View, ...]:
    """Tiles row by row, then the thumbnail where there are several.

    As transformers 5.23's `GotOcr2ImageProcessor` with `crop_to_patches`, which InternVL's
    processor always sets, and as `dynamic_preprocess` of the first releases.
    """
    sheet = best_sheet(policy, picture)
    side = policy.tile
    square, resized = Size(side, side), Size(side * sheet.cols, side * sheet.rows)
    tiles = tuple(
        View(0, Canvas(picture), resized, Canvas(square, -side * col, -side * row), frames)
        for row in range(sheet.rows)
        for col in range(sheet.cols)
    )
    if len(tiles) == 1 or not policy.thumbnail:
        return tiles
    return tiles + whole(policy, picture, frames)


def whole(policy: TilingSpec, picture: Size, frames: Group) -> tuple[View]:
    """The picture squashed to one tile: a thumbnail, or a frame of a clip."""
    square = Size(policy.tile, policy.tile)
    return (View(0, Canvas(picture), square, Canvas(square), frames),)


def best_sheet(policy: TilingSpec, picture: Size) -> Grid:
    """The sheet whose aspect ratio is nearest; of equally near ones the last, by area, that does
    not enlarge the picture's area more than twice.

    Ratios are compared as floats, as the reference compares them, so that ties fall alike. The
    first releases order sheets of one area differently; with `min_tiles` 1, as all of them have it,
    two of one area never tie: a smaller sheet lies between their ratios.
    """
    ratio, nearest, best = picture.width / picture.height, math.inf, Grid(1, 1)
    for sheet in sheets(policy.min_tiles, policy.max_tiles):
        away = abs(ratio - sheet.cols / sheet.rows)
        roomy = picture.area > 0.5 * policy.tile * policy.tile * sheet.area
        if away < nearest or (away == nearest and roomy):
            nearest, best = away, sheet
    return best


def sheets(least: int, most: int) -> list[Grid]:
    """All sheets of `least` to `most` tiles, by area; of one area, narrow ones first."""
    found = [
        Grid(rows, cols)
        for cols in range(1, most + 1)
        for rows in range(1, most // cols + 1)
        if rows * cols >= least
    ]
    return sorted(found, key=lambda sheet: sheet.area)
