"""From views to visual tokens: encode, connect, and set together as the layout says."""

# C channels of a view (3 a frame)  h, w rows and columns of pixels  V views of one size
# N visual tokens  D width of a visual token  Y, X rows and columns of tokens

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.connectors.context import ViewContext
from sightline.resolution.layout import (
    Features,
    Learned,
    MediaLayout,
    Segment,
    Stitch,
    Text,
    VisualLayout,
)
from sightline.spec.vision import VisionSpec

NOTHING = VisualLayout((), ())


@dataclass(frozen=True, slots=True)
class VisualInput:
    """What one conversation shows: its layout, and float[C, h, w] for each view of it."""

    layout: VisualLayout = NOTHING
    pixels: tuple[Tensor, ...] = ()

    def to(self, device: torch.device, dtype: torch.dtype) -> VisualInput:
        """On `device`, pixels in `dtype`."""
        return VisualInput(self.layout, tuple(view.to(device, dtype) for view in self.pixels))


def view_tokens(
    spec: VisionSpec, vision: nn.Module, connector: nn.Module, views: Sequence[Tensor]
) -> list[Tensor]:
    """Visual tokens [N, D] of each view [C, h, w]; views of one size run together."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for number, view in enumerate(views):
        by_size.setdefault(tuple(view.shape), []).append(number)
    tokens: dict[int, Tensor] = {}
    for (_, height, width), numbers in by_size.items():
        pixels_VChw = torch.stack([views[number] for number in numbers])
        ctx = ViewContext(spec.grid(width, height))
        made_VND: Tensor = connector(vision(pixels_VChw), ctx)
        tokens |= dict(zip(numbers, made_VND, strict=True))
    return [tokens[number] for number in range(len(views))]


def assembled(
    layout: VisualLayout, tokens: Sequence[Tensor], learned: Mapping[str, Tensor]
) -> Iterator[Tensor]:
    """Runs [N, D] in the order of the sequence; `tokens` are those of each view."""
    for item in layout.media:
        yield from media_runs(item, tokens, learned)


def media_runs(
    item: MediaLayout, tokens: Sequence[Tensor], learned: Mapping[str, Tensor]
) -> Iterator[Tensor]:
    """The runs of one media item."""
    for segment in item.segments:
        if not isinstance(segment, Text):
            yield _run(segment, tokens, learned)


def _run(segment: Segment, tokens: Sequence[Tensor], learned: Mapping[str, Tensor]) -> Tensor:
    match segment:
        case Learned(name=name, tokens=count):
            return learned[name].expand(count, -1)
        case Features(view=view, stitch=None):
            return tokens[view]
        case Features(view=first, grid=grid, stitch=Stitch() as stitch):
            sheet_YXD = stitched(stitch, tokens[first : first + stitch.tiles.area])
            return with_row_ends(_scaled(sheet_YXD, grid.rows, grid.cols), stitch, learned)
        case _:
            raise AssertionError("text has no visual tokens")


def stitched(stitch: Stitch, tiles: Sequence[Tensor]) -> Tensor:
    """Square tiles [N, D] side by side, the kept cells [Y, X, D] of them."""
    side = int(tiles[0].shape[0] ** 0.5)
    tiled = torch.stack(list(tiles)).unflatten(0, (stitch.tiles.rows, stitch.tiles.cols))
    sheet_YXD = tiled.unflatten(2, (side, side)).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    rows = slice(stitch.top, stitch.top + stitch.kept.rows)
    return sheet_YXD[rows, stitch.left : stitch.left + stitch.kept.cols]


def with_row_ends(sheet_YXD: Tensor, stitch: Stitch, learned: Mapping[str, Tensor]) -> Tensor:
    """The sheet as a run [N, D], a learned vector after each row where the stitch has one."""
    if stitch.row_end is not None:
        end_Y1D = learned[stitch.row_end].to(sheet_YXD.dtype).expand(len(sheet_YXD), 1, -1)
        sheet_YXD = torch.cat((sheet_YXD, end_Y1D), 1)
    return sheet_YXD.flatten(0, 1)


def _scaled(sheet_YXD: Tensor, rows: int, cols: int) -> Tensor:
    if sheet_YXD.shape[:2] == (rows, cols):
        return sheet_YXD
    x_1DYX = sheet_YXD.permute(2, 0, 1)[None]
    return F.interpolate(x_1DYX, (rows, cols), mode="bilinear")[0].permute(1, 2, 0)
