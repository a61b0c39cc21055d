"""Squares of neighbouring rows joined into one: InternVL, Idefics3 and SmolVLM."""

# V views  N rows, M joined rows  C vision width  D language width  Y, X squares  i, j inside one

from __future__ import annotations

import itertools

from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.nn.linear import Linear
from sightline.nn.mlp import activate
from sightline.nn.norm import LayerNorm
from sightline.spec.connector import PixelShuffleSpec


class PixelShuffleConnector(nn.Module):
    """x[V, N, C] -> [V, N / side², D]: pixel shuffle backwards (Shi et al. 2016), then matrices.

    The channels of a square come row by row: [i, j, C], which is the order of all three families.
    """

    def __init__(self, spec: PixelShuffleSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.side, self.activation = spec.side, spec.activation
        joined = inputs * spec.side**2
        self.norm = LayerNorm(joined, spec.norm_eps) if spec.norm == "layer" else None
        widths = [joined, *[outputs] * spec.depth]
        self.layers = nn.ModuleList(
            Linear(a, b, bias=spec.bias) for a, b in itertools.pairwise(widths)
        )

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        x = self.join(x_VNC, ctx)
        x = x if self.norm is None else self.norm(x)
        x = self.layers[0](x)
        for layer in self.layers[1:]:
            x = layer(activate(x, self.activation))
        return x

    def join(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        """[V, N, C] -> [V, M, side² · C], squares in row-major order."""
        side = self.side
        x_VYXC = x_VNC.unflatten(1, (ctx.cells.rows, ctx.cells.cols))
        x_VYiXjC = x_VYXC.unflatten(2, (-1, side)).unflatten(1, (-1, side))
        return x_VYiXjC.transpose(2, 3).flatten(3).flatten(1, 2)
