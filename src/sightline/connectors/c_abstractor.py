"""The C-Abstractor (Honeybee, Cha et al. 2024): residual convolutions around an average."""

# V views  N cells  C vision width  W inner width  D language width  Y, X rows and columns

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.connectors.context import ViewContext
from sightline.connectors.places import stretched
from sightline.nn.linear import Linear
from sightline.nn.norm import LayerNorm
from sightline.spec.connector import CAbstractorSpec


class CAbstractor(nn.Module):
    """x[V, N, C] -> [V, side², D]."""

    def __init__(self, spec: CAbstractorSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.side, known = spec.side, spec.position_side
        self.positions = None if known is None else nn.Parameter(torch.empty(known**2, inputs))
        self.before = _stage(spec, inputs)
        self.after = _stage(spec, spec.width)
        widths = [spec.width, *[outputs] * spec.mlp_depth]
        self.layers = nn.ModuleList(Linear(a, b, bias=True) for a, b in itertools.pairwise(widths))

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        if self.positions is not None:
            x_VNC = x_VNC + stretched(self.positions, ctx.cells)
        x_VYXW = self.before(x_VNC.unflatten(1, (ctx.cells.rows, ctx.cells.cols)))
        pooled_VWYX = F.adaptive_avg_pool2d(x_VYXW.permute(0, 3, 1, 2), (self.side, self.side))
        x = self.after(pooled_VWYX.permute(0, 2, 3, 1)).flatten(1, 2)
        x = self.layers[0](x)
        for layer in self.layers[1:]:
            x = layer(F.silu(x))
        return x


def _stage(spec: CAbstractorSpec, inputs: int) -> nn.Sequential:
    blocks = (RegBlock(wide, spec.width, few, spec.norm_eps) for wide, few in spec.blocks(inputs))
    return nn.Sequential(*blocks)


class RegBlock(nn.Module):
    """RegNet-Y's block (Radosavovic et al. 2020) with groups of one channel, LayerNorm and SiLU.

    x[V, Y, X, in] -> [V, Y, X, W]: 1 × 1, 3 × 3 depthwise, squeeze and excitation, 1 × 1, and the
    input added, through a matrix of its own where its width is another.
    """

    def __init__(self, inputs: int, width: int, squeezed: int, eps: float) -> None:
        super().__init__()
        self.widen, self.norm1 = Linear(inputs, width, bias=False), LayerNorm(width, eps)
        self.mix, self.norm2 = Depthwise(width), LayerNorm(width, eps)
        self.squeeze = Linear(width, squeezed, bias=True)
        self.excite = Linear(squeezed, width, bias=True)
        self.out, self.norm3 = Linear(width, width, bias=False), LayerNorm(width, eps)
        widens = inputs != width
        self.shortcut = Linear(inputs, width, bias=False) if widens else None
        self.shortcut_norm = LayerNorm(width, eps) if widens else None

    def forward(self, x_VYXC: Tensor) -> Tensor:
        h = F.silu(self.norm1(self.widen(x_VYXC)))
        h = F.silu(self.norm2(self.mix(h)))
        gate_V11W = self.excite(F.silu(self.squeeze(h.mean((1, 2), keepdim=True)))).sigmoid()
        h = self.norm3(self.out(h * gate_V11W))
        if self.shortcut is not None and self.shortcut_norm is not None:
            x_VYXC = self.shortcut_norm(self.shortcut(x_VYXC))
        return F.silu(h + x_VYXC)


class Depthwise(nn.Module):
    """A 3 × 3 kernel for each channel, zeros around the edge: x[V, Y, X, W] -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 1, 3, 3))

    def forward(self, x_VYXW: Tensor) -> Tensor:
        x_VWYX = x_VYXW.permute(0, 3, 1, 2)
        mixed_VWYX = F.conv2d(x_VWYX, self.weight, padding=1, groups=len(self.weight))
        return mixed_VWYX.permute(0, 2, 3, 1)
