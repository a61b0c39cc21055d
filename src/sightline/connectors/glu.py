"""CogVLM's bridge (Wang et al. 2023): a matrix, a norm and GELU, a gated feed-forward."""

# N rows  C vision width  D language width

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sightline.connectors.context import ViewContext
from sightline.nn.linear import Linear
from sightline.nn.mlp import GatedMlp
from sightline.nn.norm import LayerNorm
from sightline.spec.connector import GluSpec


class GluConnector(nn.Module):
    """x[..., N, C] -> [..., N, D]."""

    def __init__(self, spec: GluSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = Linear(inputs, outputs, bias=False)
        self.norm = LayerNorm(outputs, spec.norm_eps)
        self.mlp = GatedMlp(outputs, spec.hidden, "silu", bias=False)

    def forward(self, x: Tensor, ctx: ViewContext) -> Tensor:
        made: Tensor = self.mlp(F.gelu(self.norm(self.project(x))))
        return made
