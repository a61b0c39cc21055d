"""The linear layer, where weight formats plug in."""

# T tokens  I in  O out

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.errors import WeightError
from sightline.spec.layers import Activation


class Kernel(Protocol):
    """Computes a matrix, or several below each other, in a weight format of its own."""

    def __call__(self, x: Tensor, activation: Activation | None = None) -> Tensor:
        """x[..., in] -> x[..., out], through an activation that it fuses."""

    def fuses(self, activation: Activation) -> bool:
        """Whether the activation can be applied before the product is rounded and written."""


class Matrix(nn.Module):
    """x[..., in] -> x[..., out] by one matrix, computed by `kernel` where one is set.

    A kernel holds the values in its own format; `weight` may then be empty (device "meta"). Until
    the kernel is taken away the layer raises WeightError when saved, loaded, moved or cast.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    kernel: Kernel | None = None

    @property
    def parts(self) -> tuple[Matrix]:
        return (self,)

    @property
    def values(self) -> Tensor:
        """The matrix [out, in]; a layer without one of its own says whose it uses."""
        assert self.weight is not None
        return self.weight

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but its matrix and bias."""
        return self.kernel is None

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel is not None:
            return self.kernel(x)
        return F.linear(x, self.values, self.bias)

    def refuse_if_packed(self, verb: str) -> None:
        """Raises WeightError if the values are laid out for inference."""
        if self.kernel is not None:
            raise WeightError(
                "model",
                f"cannot be {verb}: its weights are laid out for inference",
                "call sightline.nn.packed.unpack first",
            )

    # The three ways in which torch reaches the parameters of a module.

    def _save_to_state_dict(self, *args: Any, **options: Any) -> None:
        self.refuse_if_packed("saved")
        super()._save_to_state_dict(*args, **options)

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        self.refuse_if_packed("loaded into")
        super()._load_from_state_dict(*args, **options)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Matrix:
        self.refuse_if_packed("moved or cast")
        return super()._apply(fn, recurse)


class Adapter(Protocol):
    """Changes what a frozen matrix gives (`nn.lora`)."""

    def __call__(self, linear: Linear, x: Tensor, base: Tensor) -> Tensor:
        """x[..., in] and the product of the frozen matrix, base[..., out] -> [..., out]."""


class Store(Protocol):
    """Holds a frozen matrix in a format of its own (`nn.nf4`)."""

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x[..., in] -> x[..., out]."""

    def values(self) -> Tensor:
        """The matrix [out, in]."""


class Linear(Matrix):
    """A matrix of the layer's own; while it lies in a `store`, `weight` is None.

    Adapter and store are modules, so their tensors are the layer's: `q.weight`, `q.adapter.a`.
    """

    weight: nn.Parameter
    adapter: Adapter | None
    store: Store | None

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.adapter = self.store = None

    @property
    def values(self) -> Tensor:
        return self.weight if self.store is None else self.store.values()

    @property
    def is_plain(self) -> bool:
        return self.kernel is None and self.adapter is None and self.store is None

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel is not None:
            return self.kernel(x)
        base = self.product(x, self.bias)
        return base if self.adapter is None else self.adapter(self, x, base)

    def product(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x[..., in] -> x[..., out] by the matrix alone, without its adapter."""
        if self.store is None:
            return F.linear(x, self.weight, bias)
        return self.store(x, bias)


class Joint:
    """Several linears that read the same input, run as one product when packed.

    The parameters stay split, so checkpoints, adapters and freezing see each projection.
    """

    def __init__(self, *parts: Linear) -> None:
        self.parts = parts
        self.sizes = [part.weight.shape[0] for part in parts]
        self.kernel: Kernel | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.kernel is None:
            return tuple(part(x) for part in self.parts)
        return self.kernel(x).split(self.sizes, dim=-1)

    def whole(self, x: Tensor) -> Tensor:
        """x[..., in] -> x[..., sum of out]: the parts' products end to end."""
        return torch.cat(self(x), dim=-1) if self.kernel is None else self.kernel(x)


def joined(parts: Iterable[Matrix]) -> tuple[Tensor, Tensor | None]:
    """Weight[sum of out, in] and bias (zeros where a part has none) of parts run as one."""
    parts = tuple(parts)
    weights: list[Tensor] = [part.values for part in parts]
    weight = weights[0] if len(parts) == 1 else torch.cat(weights)
    if all(part.bias is None for part in parts):
        return weight, None
    zeros = [w.new_zeros(w.shape[0]) for w in weights]
    return weight, torch.cat(
        [z if p.bias is None else p.bias for p, z in zip(parts, zeros, strict=True)]
    )
