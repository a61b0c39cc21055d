"""Normalisation layers."""

from __future__ import annotations

from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from sightline.spec.layers import LayerNormSpec, NormSpec, RmsNormSpec


class RmsNorm(nn.Module):
    """Root mean square norm over the last dimension (Zhang and Sennrich 2019), in float32."""

    def __init__(self, width: int, spec: RmsNormSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.eps, self.unit_offset = spec.eps, spec.unit_offset

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            normed: Tensor = TrainedRmsNorm.apply(x, self.weight, self.eps, self.unit_offset)
            return normed
        if not self.unit_offset:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        normed = F.rms_norm(x.float(), self.weight.shape, 1 + self.weight.float(), self.eps)
        return normed.to(x.dtype)


class TrainedRmsNorm(torch.autograd.Function):
    """The same in fewer passes over memory than torch's on a CPU, with its backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, unit_offset: bool) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        inverse = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        factor = weight.to(wide) + unit_offset
        ctx.save_for_backward(x, factor, inverse)
        ctx.dtype = weight.dtype
        return (x.to(wide) * inverse).mul_(factor).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, factor, inverse = ctx.saved_tensors
        normed = x.to(inverse.dtype) * inverse
        d_normed = out.to(inverse.dtype)
        d_weight = (normed * d_normed).flatten(0, -2).sum(0)
        d_normed = d_normed * factor if d_normed is out else d_normed.mul_(factor)
        along = torch.linalg.vecdot(normed, d_normed)[..., None].div_(x.shape[-1])
        d_x = d_normed.sub_(normed.mul_(along)).mul_(inverse)
        return d_x.to(x.dtype), d_weight.to(ctx.dtype), None, None


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
