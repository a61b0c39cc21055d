"""Squares of patches joined by one matrix, then an MLP: Mistral Small 3.1."""

# V views  N rows, M squares  C vision width, J of a joined square  D language width
# Y, X squares  i, j inside one

from __future__ import annotations

from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.nn.linear import Linear
from sightline.nn.mlp import activate
from sightline.nn.norm import build_norm
from sightline.spec.connector import PatchMergerSpec


class PatchMergerConnector(nn.Module):
    """x[V, N, C] -> [V, N / side², D].

    A joined row is channel by channel, [C, i, j], as `torch.nn.functional.unfold` orders it.
    """

    def __init__(self, spec: PatchMergerSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.side, self.activation = spec.side, spec.activation
        self.norm = build_norm(spec.norm, inputs)
        self.merge = Linear(inputs * spec.side**2, inputs, bias=False)
        widths = ((inputs, outputs), (outputs, outputs))
        self.layers = nn.ModuleList(Linear(a, b, bias=spec.bias) for a, b in widths)

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        x_VYXC = self.norm(x_VNC).unflatten(1, (ctx.cells.rows, ctx.cells.cols))
        x_VYiXjC = x_VYXC.unflatten(2, (-1, self.side)).unflatten(1, (-1, self.side))
        x_VMJ = x_VYiXjC.permute(0, 1, 3, 5, 2, 4).flatten(3).flatten(1, 2)
        x = self.layers[0](self.merge(x_VMJ))
        projected: Tensor = self.layers[1](activate(x, self.activation))
        return projected
