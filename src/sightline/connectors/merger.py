"""Squares of neighbouring rows merged: Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

# V views  N rows, M merged rows  C vision width, J of a joined square  D language width
# Y, X squares  i, j inside one

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.core.geometry import Grid
from sightline.nn.linear import Linear
from sightline.nn.mlp import activated
from sightline.nn.norm import build_norm
from sightline.spec.connector import MergerSpec


class MergerConnector(nn.Module):
    """x[V, N, C · (1 + levels)] -> [V, N / side², D · (1 + levels)]."""

    def __init__(self, spec: MergerSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        width = inputs // (1 + spec.levels)
        self.main = Merger(spec, width, outputs, joins_first=False)
        self.deep = nn.ModuleList(
            Merger(spec, width, outputs, joins_first=True) for _ in range(spec.levels)
        )

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        mergers = (self.main, *self.deep)
        levels = x_VNC.chunk(len(mergers), -1)
        merged = [merger(x, ctx.cells) for merger, x in zip(mergers, levels, strict=True)]
        return merged[0] if len(merged) == 1 else torch.cat(merged, -1)


class Merger(nn.Module):
    """A norm before or after squares are joined, then up, GELU and down."""

    def __init__(self, spec: MergerSpec, inputs: int, outputs: int, *, joins_first: bool) -> None:
        super().__init__()
        joined = inputs * spec.side**2
        self.side, self.joins_first = spec.side, joins_first
        self.norm = build_norm(spec.norm_spec, joined if joins_first else inputs)
        self.up = Linear(joined, joined, bias=True)
        self.down = Linear(joined, outputs, bias=True)

    def forward(self, x_VNC: Tensor, cells: Grid) -> Tensor:
        if self.joins_first:
            x_VMJ = self.norm(self._joined(x_VNC, cells))
        else:
            x_VMJ = self._joined(self.norm(x_VNC), cells)
        return self.down(activated(self.up, x_VMJ, "gelu"))

    def _joined(self, x_VNC: Tensor, cells: Grid) -> Tensor:
        x_VYXC = x_VNC.unflatten(1, (cells.rows, cells.cols))
        x_VYiXjC = x_VYXC.unflatten(2, (-1, self.side)).unflatten(1, (-1, self.side))
        return x_VYiXjC.transpose(2, 3).flatten(3).flatten(1, 2)
