"""Tiles in the grid that suits a picture's shape: LLaVA-NeXT's and OneVision's resolution.

The floats and the roundings are those of transformers 5.23 (`select_best_resolution`,
`get_patch_output_size`, `unpad_image`): another order of the same arithmetic gives other counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sightline.core.errors import PictureError
from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution import fixed
from sightline.resolution.count import features
from sightline.resolution.frames import Group
from sightline.resolution.layout import Canvas, Features, Learned, Segment, Stitch, View
from sightline.spec import AnyresSpec, FixedSpec, ModelSpec
from sightline.spec.resolution.anyres import NEWLINE, Fit

SHRINK_FROM = 1.1


def lay(
    spec: ModelSpec, policy: AnyresSpec, media: MediaSize, frames: Sequence[Group], *, alone: bool
) -> tuple[tuple[View, ...], tuple[Segment, ...]]:
    """Views and segments of one picture or clip; `alone` is the only picture of a conversation.

    Raises PictureError where the sheet of a picture cannot be shrunk to whole rows.
    """
    if media.video or media.frames > 1:
        return _clip(spec, policy, media.size, frames)
    if policy.several == "pad" and not alone:
        one = _view(policy, "pad", media.size, frames[0])
        return (one,), (features(spec, one, 0), *_ends(policy.merge == "unpad"))
    whole = _view(policy, "squash", media.size, frames[0])
    surface = pinpoint(policy, media.size)
    cut = tiles(policy, media.size, surface, frames[0])
    first = features(spec, whole, 0)
    if policy.merge == "flat":
        rest = (features(spec, view, 1 + i) for i, view in enumerate(cut))
        return (whole, *cut), (first, *rest)
    sheet = _sheet(policy, first.grid, media.size, surface)
    return ((whole, *cut), (first, sheet)) if sheet.tokens else ((whole,), (first,))


def pinpoint(policy: AnyresSpec, picture: Size) -> Size:
    """The surface that keeps most pixels of the picture, then wastes least, then stands first."""

    def kept_and_wasted(surface: Size) -> tuple[int, int]:
        scale = min(surface.width / picture.width, surface.height / picture.height)
        shown = int(picture.width * scale) * int(picture.height * scale)
        kept = min(shown, picture.area)
        return kept, kept - surface.area

    return max((Size(width, height) for height, width in policy.pinpoints), key=kept_and_wasted)


def fitted(picture: Size, surface: Size) -> Size:
    """The picture as large as the surface holds it, the shorter side rounded up."""
    across, down = surface.width / picture.width, surface.height / picture.height
    if across < down:
        return Size(surface.width, min(math.ceil(picture.height * across), surface.height))
    return Size(min(math.ceil(picture.width * down), surface.width), surface.height)


def tiles(policy: AnyresSpec, picture: Size, surface: Size, frames: Group) -> tuple[View, ...]:
    """The picture in the middle of the surface, on black, cut row by row."""
    resized, side = fitted(picture, surface), policy.size
    left, top = (surface.width - resized.width) // 2, (surface.height - resized.height) // 2
    return tuple(
        View(0, Canvas(picture), resized, Canvas(Size(side, side), left - x, top - y), frames)
        for y in range(0, surface.height, side)
        for x in range(0, surface.width, side)
    )


def unpadded(sheet: Grid, picture: Size) -> tuple[Grid, int, int]:
    """The cells that show the picture, and the rows above and columns left of them; as many are
    taken away on the other side. Of a picture narrower than half a cell none may remain: no row at
    all, or rows without columns, of which the newlines stay."""
    if picture.width / picture.height > sheet.cols / sheet.rows:
        rows = int(round(picture.height * (sheet.cols / picture.width), 7))
        top = (sheet.rows - rows) // 2
        return Grid(sheet.rows - 2 * top, sheet.cols), top, 0
    cols = int(round(picture.width * (sheet.rows / picture.height), 7))
    left = (sheet.cols - cols) // 2
    return Grid(sheet.rows, sheet.cols - 2 * left), 0, left


def shrunk(kept: Grid, tile: Grid, max_tiles: int | None) -> Grid:
    """The cells scaled to the area of `max_tiles` tiles, if they are clearly more."""
    if max_tiles is None:
        return kept
    ratio = math.sqrt(kept.area / (max_tiles * tile.area))
    return Grid(int(kept.rows // ratio), int(kept.cols // ratio)) if ratio > SHRINK_FROM else kept


def _sheet(policy: AnyresSpec, tile: Grid, picture: Size, surface: Size) -> Features:
    set_as = Grid(surface.height // policy.size, surface.width // policy.size)
    kept, top, left = unpadded(Grid(set_as.rows * tile.rows, set_as.cols * tile.cols), picture)
    grid = shrunk(kept, tile, policy.max_tiles)
    if kept.area and not grid.area:
        raise PictureError(
            "media",
            f"of {picture.width} × {picture.height} pixels has a sheet of {kept.rows} × "
            f"{kept.cols} tokens that {policy.max_tiles} tiles do not hold",
            "cut it to a less extreme shape, or allow more max_tiles",
        )
    stitch = Stitch(set_as, tile, kept, top, left, row_end=NEWLINE)
    return Features(1, grid.rows * (grid.cols + 1), grid, stitch=stitch)


def _clip(
    spec: ModelSpec, policy: AnyresSpec, picture: Size, frames: Sequence[Group]
) -> tuple[tuple[View, ...], tuple[Segment, ...]]:
    clip = policy.clip
    views = tuple(
        replace(_view(policy, clip.fit, picture, group), pool=clip.pool) for group in frames
    )
    shown = (features(spec, view, i, i) for i, view in enumerate(views))
    return views, (*shown, *_ends(clip.newline))


def _view(policy: AnyresSpec, fit: Fit, picture: Size, frames: Group) -> View:
    return fixed.view(FixedSpec(size=policy.size, fit=fit), picture, frames)


def _ends(newline: bool) -> tuple[Learned, ...]:
    return (Learned(NEWLINE),) if newline else ()
