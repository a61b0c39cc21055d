"""The linear layer, where weight formats plug in."""

# B batch  T tokens  I in  O out

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kernel = Callable[[Tensor], Tensor]


class Linear(nn.Module):
    """x[..., in] -> x[..., out]. `kernel` computes it in another weight format when set."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.kernel: Kernel | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel is not None:
            return self.kernel(x)
        return F.linear(x, self.weight, self.bias)


class Joint:
    """Several linears that read the same input, run as one product when packed.

    The parameters stay split, so checkpoints, adapters and freezing see each projection.
    """

    def __init__(self, *parts: Linear) -> None:
        self.parts = parts
        self.kernel: Kernel | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.kernel is None:
            return tuple(part(x) for part in self.parts)
        return self.kernel(x).split(self.sizes, dim=-1)

    @property
    def sizes(self) -> list[int]:
        return [part.weight.shape[0] for part in self.parts]


def joined(parts: Iterable[Linear]) -> tuple[Tensor, Tensor | None]:
    """Weight[sum of out, in] and bias (zeros where a part has none) of parts run as one."""
    parts = tuple(parts)
    weight = torch.cat([part.weight for part in parts])
    if all(part.bias is None for part in parts):
        return weight, None
    biases = [weight.new_zeros(p.weight.shape[0]) if p.bias is None else p.bias for p in parts]
    return weight, torch.cat(biases)
