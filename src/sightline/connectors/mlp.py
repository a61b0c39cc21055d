"""Per-row connectors: one matrix, or several with an activation between them."""

# N rows  C vision width  D language width

from __future__ import annotations

import itertools

from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.nn.linear import Linear
from sightline.nn.mlp import activate
from sightline.nn.norm import LayerNorm
from sightline.spec.connector import LinearSpec, MlpSpec

NORM_EPS = 1e-5


class LinearConnector(nn.Module):
    """x[..., C] -> [..., D] by one matrix (LLaVA v1)."""

    def __init__(self, spec: LinearSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Linear(inputs, outputs, bias=spec.bias)])

    def forward(self, x: Tensor, ctx: ViewContext) -> Tensor:
        projected: Tensor = self.layers[0](x)
        return projected


class MlpConnector(nn.Module):
    """x[..., C] -> [..., D] by `depth` matrices (LLaVA 1.5), each normed if asked for (Yi-VL)."""

    def __init__(self, spec: MlpSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = spec.hidden or outputs
        widths = [inputs, *[inner] * (spec.depth - 1), outputs]
        self.layers = nn.ModuleList(
            Linear(a, b, bias=spec.bias) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(LayerNorm(width, NORM_EPS) for width in widths[1:] if spec.norms)
        self.activation = spec.activation

    def forward(self, x: Tensor, ctx: ViewContext) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else activate(x, self.activation))
            x = self.norms[i](x) if self.norms else x
        return x
