"""The mean of each square of patches: Gemma 3."""

# V views  N rows, M squares  C vision width  D language width  Y, X squares  i, j inside one

from __future__ import annotations

from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.nn.linear import Linear
from sightline.nn.norm import build_norm
from sightline.spec.connector import PooledSpec


class PooledConnector(nn.Module):
    """x[V, N, C] -> [V, N / side², D]: mean, norm, one matrix."""

    def __init__(self, spec: PooledSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.side = spec.side
        self.norm = build_norm(spec.norm, inputs)
        self.layers = nn.ModuleList([Linear(inputs, outputs, bias=False)])

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        x_VYXC = x_VNC.unflatten(1, (ctx.cells.rows, ctx.cells.cols))
        x_VYiXjC = x_VYXC.unflatten(2, (-1, self.side)).unflatten(1, (-1, self.side))
        projected: Tensor = self.layers[0](self.norm(x_VYiXjC.mean((2, 4)).flatten(1, 2)))
        return projected
