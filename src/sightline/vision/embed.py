"""From pixels to the first rows of a vision transformer: patches, stems and learned positions."""

# V views  N tokens of a view  D width  P numbers of a patch  C channels of a view (3 a frame)
# Y, X patch rows and columns

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.geometry import Grid
from sightline.nn.linear import Linear
from sightline.nn.norm import LayerNorm
from sightline.spec.vision import VitSpec


class PatchEmbed(nn.Module):
    """Non-overlapping patches times one matrix, stored as a convolution kernel [D, C, p, p].

    Frames that share a view are channels end to end, red of the first frame first.
    """

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.patch = spec.patch
        channels = 3 * spec.frames_per_view
        self.weight = nn.Parameter(torch.empty(spec.width, channels, spec.patch, spec.patch))
        self.bias = nn.Parameter(torch.empty(spec.width)) if spec.patch_bias else None

    def forward(self, pixels_VCHW: Tensor) -> Tensor:
        p = self.patch
        rows, cols = pixels_VCHW.shape[2] // p, pixels_VCHW.shape[3] // p
        cut = (
            pixels_VCHW[:, :, : rows * p, : cols * p]
            .unflatten(3, (cols, p))
            .unflatten(2, (rows, p))
        )
        patches_VNP = cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return F.linear(patches_VNP, self.weight.flatten(1), self.bias)


class ConvStem(nn.Module):
    """Halving 3×3 convolutions with norms between them, then one matrix (Xiao et al. 2021).

    Differs: a norm over channels in place of batch norm, so that no picture depends on another.
    """

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        widths = (3 * spec.frames_per_view, *spec.stem_widths)
        self.halvings = nn.ModuleList(Halving(a, b) for a, b in itertools.pairwise(widths))
        self.project = Linear(spec.width, spec.width, bias=spec.patch_bias)

    def forward(self, pixels_VCHW: Tensor) -> Tensor:
        x = pixels_VCHW.contiguous(memory_format=torch.channels_last)
        for halving in self.halvings:
            x = halving(x)
        return self.project(x.flatten(2).transpose(1, 2))


class Halving(nn.Module):
    """x[V, in, H, W] -> x[V, out, H/2, W/2]: convolution, norm over channels, GELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.norm = LayerNorm(outputs, eps=1e-6)

    def forward(self, x_VCHW: Tensor) -> Tensor:
        x_VCHW = F.conv2d(x_VCHW, self.weight, stride=2, padding=1)
        return F.gelu(self.norm(x_VCHW.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def positions_for(table_ND: Tensor, spec: VitSpec, grid: Grid) -> Tensor:
    """Learned positions for `grid`: the table as it is, or its grid stretched.

    `bicubic`, as CLIP, SigLIP and DINOv2 stretch; `corners` is bilinear with the corner cells of
    both grids on each other (Qwen3-VL). `buckets` looks up the cell at the same fraction of each
    side (Idefics3). Rows before the grid (a class token's) stay.
    """
    stored = spec.position_grid
    if spec.positions == "buckets":
        return table_ND[bucketed(table_ND.shape[0] - stored.area, stored, grid)]
    if grid == stored:
        return table_ND
    extra = table_ND.shape[0] - stored.area
    table_1DYX = table_ND[extra:].T.unflatten(1, (stored.rows, stored.cols))[None].float()
    corners = spec.positions == "corners"
    resized_1DYX = F.interpolate(
        table_1DYX,
        (grid.rows, grid.cols),
        mode="bilinear" if corners else "bicubic",
        align_corners=corners,
        antialias=spec.position_antialias,
    )
    stretched_ND = resized_1DYX[0].flatten(1).T.to(table_ND.dtype)
    return torch.cat((table_ND[:extra], stretched_ND))


def bucketed(extra: int, stored: Grid, grid: Grid) -> Tensor:
    """int64[N]: rows of a table of `extra` rows and those of `stored`, for each of `grid`.

    In float32, as transformers 5.23 counts: on some sides, such as 25, a cell then falls just below
    its own fraction, into the one before.
    """
    rows = _buckets(grid.rows, stored.rows)[:, None] * stored.cols
    cells = (rows + _buckets(grid.cols, stored.cols)).flatten()
    return torch.cat((torch.arange(extra), extra + cells))


def _buckets(count: int, side: int) -> Tensor:
    edges = torch.arange(1 / side, 1.0, 1 / side)
    fractions = torch.arange(count, dtype=torch.float32) * (1.0 / torch.tensor(count))
    return torch.bucketize(fractions.clamp(max=1 - 1e-6), edges, right=True)
