"""One view at the picture's own size, up to a longest edge: Pixtral and Mistral Small 3.1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from sightline.core.errors import PictureError
from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution.count import features
from sightline.resolution.frames import Group
from sightline.resolution.layout import Canvas, Features, Segment, Text, View
from sightline.spec import LongestEdgeSpec, ModelSpec


def lay(
    spec: ModelSpec, policy: LongestEdgeSpec, media: MediaSize, frames: Sequence[Group]
) -> tuple[tuple[View, ...], tuple[Segment, ...]]:
    """A view of one size for every group of frames, its tokens row by row.

    Raises PictureError for a picture so narrow that nothing of its shorter side remains.
    """
    size = view_size(policy, media.size)
    views = tuple(View(0, Canvas(media.size), size, Canvas(size), group) for group in frames)
    segments: list[Segment] = []
    for i, view in enumerate(views):
        segments += _in_rows(policy, features(spec, view, i, i))
    return views, tuple(segments)


def view_size(policy: LongestEdgeSpec, picture: Size) -> Size:
    """As `get_resize_output_image_size` of transformers 5.23, floats and all."""
    ratio = max(picture.height / policy.edge, picture.width / policy.edge)
    width, height = picture.width, picture.height
    if ratio > 1:
        width, height = math.floor(width / ratio), math.floor(height / ratio)
    if min(width, height) < 1:
        raise PictureError(
            "picture",
            f"of {picture.width} × {picture.height} pixels has no shorter side left at a longest "
            f"edge of {policy.edge}",
            "cut it to a less extreme shape",
        )
    m = policy.multiple
    return Size(-(-width // m) * m, -(-height // m) * m)


def shrunk(policy: LongestEdgeSpec, fits: Callable[[LongestEdgeSpec], bool]) -> LongestEdgeSpec:
    """The policy with the largest edge that `fits`, at least `multiple` whether or not."""
    low, high = min(policy.multiple, policy.edge), policy.edge
    while low < high:
        middle = (low + high + 1) // 2
        if fits(policy.model_copy(update={"edge": middle})):
            low = middle
        else:
            high = middle - 1
    return policy.model_copy(update={"edge": low})


def _in_rows(policy: LongestEdgeSpec, run: Features) -> Iterator[Segment]:
    """The rows of a view with the text that ends them; one run where there is no such text, or
    where the tokens form no grid."""
    rows, cols = run.grid.rows, run.grid.cols
    if not policy.row_end or run.grid.area != run.tokens:
        yield run
        yield from (Text(policy.end),) if policy.end else ()
        return
    for row in range(rows):
        yield Features(run.view, cols, Grid(1, cols), run.time, start=row * cols)
        ids = policy.end if row == rows - 1 else policy.row_end
        yield from (Text(ids),) if ids else ()
