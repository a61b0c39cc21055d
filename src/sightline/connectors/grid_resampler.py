"""Qwen-VL's adapter (Bai et al. 2023): a square of queries and one cross-attention."""

# V views  N cells  C vision width  Q queries  D language width  H heads  F frequencies

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.connectors.places import stretched
from sightline.core.errors import SpecError
from sightline.nn.attention import attend
from sightline.nn.linear import Linear
from sightline.nn.masks import BoundMask
from sightline.nn.norm import LayerNorm
from sightline.spec.connector import GridResamplerSpec


class GridResampler(nn.Module):
    """x[V, N, C] -> [V, side², D]. Raises SpecError where heads or waves do not divide D."""

    def __init__(self, spec: GridResamplerSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        if outputs % spec.heads or outputs % 4:
            raise SpecError(
                "connector.heads",
                f"{spec.heads} and 4 must divide the language width {outputs}",
                "choose a divisor",
            )
        self.side, self.heads, self.scale = spec.side, spec.heads, (outputs // spec.heads) ** -0.5
        self.queries = nn.Parameter(torch.empty(spec.side**2, outputs))
        self.widen = Linear(inputs, outputs, bias=False) if inputs != outputs else None
        self.query_norm = LayerNorm(outputs, spec.norm_eps)
        self.view_norm = LayerNorm(outputs, spec.norm_eps)
        self.q, self.k, self.v, self.out = (Linear(outputs, outputs, bias=True) for _ in range(4))
        self.norm = LayerNorm(outputs, spec.norm_eps)
        self.project = Linear(outputs, outputs, bias=False)

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        x_VND = self.view_norm(x_VNC if self.widen is None else self.widen(x_VNC))
        places_QD = waves_2d(self.side, x_VND.shape[-1]).to(x_VND)
        q_QD = self.q(self.query_norm(self.queries) + places_QD)
        k_VND = self.k(x_VND + stretched(places_QD, ctx.cells))
        q, k, v = (
            x.unflatten(-1, (self.heads, -1))
            for x in (q_QD.expand(len(x_VND), -1, -1), k_VND, self.v(x_VND))
        )
        read_VQD = attend(q, k.transpose(1, 2), v.transpose(1, 2), BoundMask(), self.scale)
        return self.project(self.norm(self.out(read_VQD)))


def waves_2d(side: int, width: int) -> Tensor:
    """float32[side², width] of MAE (He et al. 2021): sines and cosines of the column in the first
    half, of the row in the second; frequencies 10000^(-4i/width)."""
    steps_F = 10_000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    angles_SF = torch.arange(side)[:, None] * steps_F
    waves_SE = torch.cat((angles_SF.sin(), angles_SF.cos()), dim=1)
    by_column, by_row = waves_SE.repeat(side, 1), waves_SE.repeat_interleave(side, 0)
    return torch.cat((by_column, by_row), dim=1).float()
