"""From views to visual tokens: encode, connect, and set together as the layout says."""

# C channels of a view (3 a frame), or of a feature  h, w rows and columns of pixels
# V views of one size  N rows or visual tokens  D width of a visual token  Y, X rows and columns

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.connectors.context import Instruction, ViewContext
from sightline.core.geometry import Grid
from sightline.resolution.layout import (
    Features,
    Learned,
    MediaLayout,
    Segment,
    Stitch,
    Text,
    VisualLayout,
)
from sightline.spec.model import ModelSpec
from sightline.spec.resolution import PoolSpec

NOTHING = VisualLayout((), ())


@dataclass(frozen=True, slots=True)
class VisualInput:
    """What one conversation shows: its layout, and float[C, h, w] for each view of it.

    `instruction_ids` are the user's words, for a connector that reads them.
    """

    layout: VisualLayout = NOTHING
    pixels: tuple[Tensor, ...] = ()
    instruction_ids: tuple[int, ...] = ()

    def to(self, device: torch.device, dtype: torch.dtype) -> VisualInput:
        """On `device`, pixels in `dtype`."""
        return replace(self, pixels=tuple(view.to(device, dtype) for view in self.pixels))


@dataclass(frozen=True, slots=True)
class Idle:
    """What a process runs beside its batch, for no row, because other processes run it for rows.

    blanks: each one more pass through encoder and connector. learned: vectors of the layout.
    """

    blanks: tuple[VisualInput, ...] = ()
    learned: tuple[str, ...] = ()

    def to(self, device: torch.device, dtype: torch.dtype) -> Idle:
        """On `device`, pixels in `dtype`."""
        return replace(self, blanks=tuple(blank.to(device, dtype) for blank in self.blanks))


def view_tokens(
    spec: ModelSpec, vision: nn.Module, connector: nn.Module, visuals: Sequence[VisualInput]
) -> list[Tensor]:
    """Visual tokens [N, D] of each view of several conversations; alike views run together."""
    pixels = [view_Chw for visual in visuals for view_Chw in visual.pixels]
    told = [visual.instruction_ids for visual in visuals for _ in visual.pixels]
    tokens: dict[int, Tensor] = {}
    for ((_, height, width), pool), numbers in passes(visuals).items():
        features_VNC = vision(torch.stack([pixels[number] for number in numbers]))
        words = Instruction.of([told[number] for number in numbers], features_VNC.device)
        ctx = ViewContext(spec.vision.grid(width, height), words)
        made_VND = _connected(spec, connector, features_VNC, ctx, pool)
        tokens |= dict(zip(numbers, made_VND, strict=True))
    return [tokens[number] for number in range(len(pixels))]


def passes(
    visuals: Sequence[VisualInput],
) -> dict[tuple[torch.Size, PoolSpec | None], list[int]]:
    """The views that run through the encoder together, by size and pool: their numbers."""
    pixels = [view_Chw for visual in visuals for view_Chw in visual.pixels]
    pools = [view.pool for visual in visuals for view in visual.layout.views]
    alike: dict[tuple[torch.Size, PoolSpec | None], list[int]] = {}
    for number, (view_Chw, pool) in enumerate(zip(pixels, pools, strict=True)):
        alike.setdefault((view_Chw.shape, pool), []).append(number)
    return alike


def _connected(
    spec: ModelSpec, connector: nn.Module, x_VNC: Tensor, ctx: ViewContext, pool: PoolSpec | None
) -> Tensor:
    """Features through the connector, pooled before it or after it where the view asks for it."""
    if pool is not None and pool.at == "features":
        x_VNC, ctx = pooled(x_VNC, ctx.cells, pool), replace(ctx, cells=pool.grid(ctx.cells))
    tokens_VND: Tensor = connector(x_VNC, ctx)
    if pool is not None and pool.at == "tokens":
        return pooled(tokens_VND, spec.connector.grid(ctx.cells), pool)
    return tokens_VND


def pooled(x_VND: Tensor, grid: Grid, pool: PoolSpec) -> Tensor:
    """Rows of a grid [V, N, D] -> rows of the smaller one."""
    x_VDYX = x_VND.transpose(1, 2).unflatten(2, (grid.rows, grid.cols))
    match pool.mode:
        case "average":
            small_VDYX = F.avg_pool2d(x_VDYX, pool.stride)
        case "max":
            small_VDYX = F.max_pool2d(x_VDYX, pool.stride)
        case "bilinear":
            left = pool.grid(grid)
            small_VDYX = F.interpolate(x_VDYX, (left.rows, left.cols), mode="bilinear")
        case _:
            assert_never(pool.mode)
    return small_VDYX.flatten(2).transpose(1, 2)


def assembled(
    layout: VisualLayout, tokens: Sequence[Tensor], learned: Mapping[str, Tensor]
) -> Iterator[Tensor]:
    """Runs [N, D] in the order of sequence or memory; `tokens` are those of each view."""
    for item in layout.media:
        yield from media_runs(item, tokens, learned)


def media_runs(
    item: MediaLayout, tokens: Sequence[Tensor], learned: Mapping[str, Tensor]
) -> Iterator[Tensor]:
    """The runs of one media item."""
    for segment in (*item.segments, *item.memory):
        if not isinstance(segment, Text):
            yield _run(segment, tokens, learned)


def _run(segment: Segment, tokens: Sequence[Tensor], learned: Mapping[str, Tensor]) -> Tensor:
    match segment:
        case Learned(name=name, tokens=count):
            return learned[name].expand(count, -1)
        case Features(view=view, tokens=count, start=start, stitch=None):
            return tokens[view][start : start + count]
        case Features(view=first, grid=grid, stitch=Stitch() as stitch):
            sheet_YXD = stitched(stitch, tokens[first : first + stitch.tiles.area])
            return with_row_ends(_scaled(sheet_YXD, grid.rows, grid.cols), stitch, learned)
        case _:
            raise AssertionError("text has no visual tokens")


def stitched(stitch: Stitch, tiles: Sequence[Tensor]) -> Tensor:
    """Tiles [N, D] side by side, the kept cells [Y, X, D] of them."""
    tiled = torch.stack(list(tiles)).unflatten(0, (stitch.tiles.rows, stitch.tiles.cols))
    cells = tiled.unflatten(2, (stitch.tile.rows, stitch.tile.cols))
    sheet_YXD = cells.transpose(1, 2).flatten(2, 3).flatten(0, 1)
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
