"""Rows of square tiles with tags: the resolution of Idefics3, SmolVLM and SmolVLM2.

Floats, roundings and the order of resizes are those of transformers 5.23's
`Idefics3ImageProcessor` and `SmolVLMVideoProcessor`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution.count import features
from sightline.resolution.frames import Group
from sightline.resolution.layout import Canvas, Segment, Text, View
from sightline.spec import ModelSpec, RowTagsSpec, RowTilingSpec


def lay(
    spec: ModelSpec, policy: RowTilingSpec, media: MediaSize, frames: Sequence[Group]
) -> tuple[tuple[View, ...], tuple[Segment, ...]]:
    """Views and segments of one picture or clip, every view a run of its own."""
    sheet = Grid(0, 0) if media.video else tiles(policy, media.size)
    views: list[View] = []
    segments: list[Segment] = []
    for group in frames:
        own = _views(policy, media, sheet, group)
        runs = [features(spec, view, len(views) + i, len(views) + i) for i, view in enumerate(own)]
        views += own
        segments += runs if policy.tags is None else _tagged(policy.tags, sheet, runs)
    return tuple(views), tuple(segments)


def tiles(policy: RowTilingSpec, picture: Size) -> Grid:
    """Rows and columns of tiles; none for a picture that is seen whole."""
    sheet = multiples(policy, longest_edge(picture, policy.edge))
    if not policy.split or max(sheet.width, sheet.height) == policy.tile:
        return Grid(0, 0)
    return Grid(sheet.height // policy.tile, sheet.width // policy.tile)


def longest_edge(picture: Size, edge: int) -> Size:
    """The picture with `edge` pixels on its longer side, an even number of them on the other."""
    ratio = picture.width / picture.height
    if picture.width >= picture.height:
        return Size(edge, _even(int(edge / ratio)))
    return Size(_even(int(edge * ratio)), edge)


def multiples(policy: RowTilingSpec, size: Size) -> Size:
    """Both sides rounded up to whole tiles, the shorter one after it was scaled with the longer."""
    ratio, tile = size.width / size.height, policy.tile
    if size.width >= size.height:
        width = math.ceil(size.width / tile) * tile
        return Size(width, math.ceil(int(width / ratio) / tile) * tile)
    height = math.ceil(size.height / tile) * tile
    return Size(math.ceil(int(height * ratio) / tile) * tile, height)


def _even(side: int) -> int:
    return max(1, side + side % 2)


def _views(policy: RowTilingSpec, media: MediaSize, sheet: Grid, frames: Group) -> tuple[View, ...]:
    """Tiles row by row, then the whole picture."""
    square, canvas = Size(policy.tile, policy.tile), Canvas(media.size)
    edge = policy.clip_edge if media.video else None
    first = longest_edge(media.size, edge or policy.edge)
    whole = View(0, canvas, square, Canvas(square), frames, steps=(first,))
    if not sheet.area:
        return (whole,)
    resized = Size(square.width * sheet.cols, square.height * sheet.rows)
    cut = (
        Canvas(square, -square.width * col, -square.height * row)
        for row in range(sheet.rows)
        for col in range(sheet.cols)
    )
    own = (View(0, canvas, resized, window, frames, steps=(first,)) for window in cut)
    return (*own, View(0, canvas, square, Canvas(square), frames, steps=(first, resized)))


def _tagged(tags: RowTagsSpec, sheet: Grid, runs: Sequence[Segment]) -> Iterator[Segment]:
    for number, run in enumerate(runs[:-1]):
        row, col = divmod(number, sheet.cols)
        yield Text(tags.around + tags.places[row][col])
        yield run
        if col == sheet.cols - 1:
            yield Text(tags.last_row_end if row == sheet.rows - 1 else tags.row_end)
    yield Text(tags.around + tags.whole)
    yield runs[-1]
    yield Text(tags.around)
