"""Feed-forward blocks and activations."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.nn.linear import Joint, Linear
from sightline.spec.layers import Activation

_LINEAR = 20.0  # where torch's softplus is taken to be linear, the sigmoid to be 1


def activate(x: Tensor, kind: Activation) -> Tensor:
    """The activation by name; `gelu` is the exact one, `quick_gelu` is x·sigmoid(1.702 x)."""
    match kind:
        case "gelu":
            return F.gelu(x)
        case "gelu_tanh":
            return F.gelu(x, approximate="tanh")
        case "quick_gelu":
            return _times_sigmoid(x, 1.702)
        case "relu":
            return F.relu(x)
        case "relu2":
            return F.relu(x).square()
        case "silu":
            return F.silu(x)
        case _:
            assert_never(kind)


def _times_sigmoid(x: Tensor, slope: float) -> Tensor:
    """x·sigmoid(slope·x) in one pass: sigmoid is how softplus grows, x the gradient from above."""
    product: Tensor = torch.ops.aten.softplus_backward(x, x, slope, _LINEAR)
    return product


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
        self.gate_up = Joint(self.gate, self.up)
        self.activation: Activation = activation

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x)
        return self.down(activate(gate, self.activation) * up)
