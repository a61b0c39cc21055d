"""Normalisation layers."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.spec.layers import LayerNormSpec, NormSpec, RmsNormSpec


class RmsNorm(nn.Module):
    """Root mean square norm over the last dimension (Zhang and Sennrich 2019), in float32."""

    def __init__(self, width: int, spec: RmsNormSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.eps, self.unit_offset = spec.eps, spec.unit_offset

    def forward(self, x: Tensor) -> Tensor:
        if not self.unit_offset:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        normed = F.rms_norm(x.float(), self.weight.shape, 1 + self.weight.float(), self.eps)
        return normed.to(x.dtype)


class LayerNorm(nn.Module):
    """Mean and variance norm over the last dimension."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


def build_norm(spec: NormSpec, width: int) -> nn.Module:
    """The norm that the spec names, over `width` channels."""
    match spec:
        case RmsNormSpec():
            return RmsNorm(width, spec)
        case LayerNormSpec():
            return LayerNorm(width, spec.eps)
        case _:
            assert_never(spec)
