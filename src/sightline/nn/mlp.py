"""Feed-forward blocks and activations."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.nn.linear import Linear
from sightline.spec.layers import Activation


def activate(x: Tensor, kind: Activation) -> Tensor:
    """The activation by name; `gelu` is the exact one, `quick_gelu` is x·sigmoid(1.702 x)."""
    match kind:
        case "gelu":
            return F.gelu(x)
        case "gelu_tanh":
            return F.gelu(x, approximate="tanh")
        case "quick_gelu":
            return x * torch.sigmoid(1.702 * x)
        case "relu":
            return F.relu(x)
        case "relu2":
            return F.relu(x).square()
        case "silu":
            return F.silu(x)
        case _:
            assert_never(kind)


def activated(linear: Linear, x: Tensor, kind: Activation) -> Tensor:
    """The activation of `linear(x)`, in one pass where the weight format can."""
    if linear.kernel is not None and linear.kernel.fuses(kind):
        return linear.kernel(x, kind)
    return activate(linear(x), kind)


class PlainMlp(nn.Module):
    """down(act(up x))."""

    def __init__(self, width: int, inner: int, activation: Activation, *, bias: bool) -> None:
        super().__init__()
        self.up = Linear(width, inner, bias=bias)
        self.down = Linear(inner, width, bias=bias)
        self.activation: Activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down(activated(self.up, x, self.activation))


class GatedMlp(nn.Module):
    """down(act(gate x) · up x) (Shazeer 2020)."""

    def __init__(self, width: int, inner: int, activation: Activation, *, bias: bool) -> None:
        super().__init__()
        self.gate = Linear(width, inner, bias=bias)
        self.up = Linear(width, inner, bias=bias)
        self.down = Linear(inner, width, bias=bias)
        self.activation: Activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down(activated(self.gate, x, self.activation) * self.up(x))
