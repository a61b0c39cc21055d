"""Per-row connectors: one matrix, or several with an activation between them."""

# N rows  C vision width  D language width

from __future__ import annotations

import itertools

from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.nn.linear import Linear
from sightline.nn.mlp import activate
from sightline.spec.connector import LinearSpec, MlpSpec


class LinearConnector(nn.Module):
    """x[..., C] -> [..., D] by one matrix (LLaVA v1)."""

    def __init__(self, spec: LinearSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Linear(inputs, outputs, bias=spec.bias)])

    def forward(self, x: Tensor, ctx: ViewContext) -> Tensor:
        projected: Tensor = self.layers[0](x)
        return projected


class MlpConnector(nn.Module):
    """x[..., C] -> [..., D] by `depth` matrices (LLaVA 1.5)."""

    def __init__(self, spec: MlpSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = spec.hidden or outputs
        widths = [inputs, *[inner] * (spec.depth - 1), outputs]
        self.layers = nn.ModuleList(
            Linear(a, b, bias=spec.bias) for a, b in itertools.pairwise(widths)
        )
        self.activation = spec.activation

    def forward(self, x: Tensor, ctx: ViewContext) -> Tensor:
        x = self.layers[0](x)
        for layer in self.layers[1:]:
            x = layer(activate(x, self.activation))
        return x
