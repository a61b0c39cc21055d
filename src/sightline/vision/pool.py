"""One vector for a picture, from the rows that leave its encoder."""

# V views  N rows  D width  H heads  K head dim

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn

from sightline.nn.attention import attend
from sightline.nn.linear import Joint, Linear
from sightline.nn.masks import BoundMask
from sightline.nn.mlp import PlainMlp
from sightline.nn.norm import LayerNorm
from sightline.spec.pair import AttentionPoolSpec, ClassTokenPoolSpec, ImagePoolSpec, MeanPoolSpec


class ClassTokenPool(nn.Module):
    """The first row."""

    def forward(self, x_VND: Tensor) -> Tensor:
        return x_VND[:, 0]


class MeanPool(nn.Module):
    """The mean of all rows."""

    def forward(self, x_VND: Tensor) -> Tensor:
        return x_VND.mean(1)


class AttentionPool(nn.Module):
    """A learned query reads all rows; what it found passes an MLP beside a residual (the MAP head
    of Zhai et al. 2022, as in SigLIP). Scores are scaled by head dim ** -0.5."""

    def __init__(self, spec: AttentionPoolSpec, width: int) -> None:
        super().__init__()
        self.heads, self.scale = spec.heads, (width // spec.heads) ** -0.5
        self.probe = nn.Parameter(torch.empty(width))
        self.q = Linear(width, width, bias=True)
        self.k = Linear(width, width, bias=True)
        self.v = Linear(width, width, bias=True)
        self.out = Linear(width, width, bias=True)
        self.kv = Joint(self.k, self.v)
        self.norm = LayerNorm(width, spec.norm_eps)
        self.mlp = PlainMlp(width, spec.mlp_width, spec.activation, bias=True)

    def forward(self, x_VND: Tensor) -> Tensor:
        probe_V1D = self.probe.expand(len(x_VND), 1, -1)
        q_V1HK = self.q(probe_V1D).unflatten(-1, (self.heads, -1))
        k, v = (x.unflatten(-1, (self.heads, -1)) for x in self.kv(x_VND))
        read = attend(q_V1HK, k.transpose(1, 2), v.transpose(1, 2), BoundMask(), self.scale)
        found_VD = self.out(read)[:, 0]
        return found_VD + self.mlp(self.norm(found_VD))


ImagePool = ClassTokenPool | MeanPool | AttentionPool


def build_pool(spec: ImagePoolSpec, width: int) -> ImagePool:
    """rows [V, N, width] -> [V, width], parameters uninitialised."""
    match spec:
        case ClassTokenPoolSpec():
            return ClassTokenPool()
        case MeanPoolSpec():
            return MeanPool()
        case AttentionPoolSpec():
            return AttentionPool(spec, width)
        case _:
            assert_never(spec)
