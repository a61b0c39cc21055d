"""Matrices laid out ahead of time for oneDNN, torch's CPU kernels: faster inference, no training.

Measured on two Zen 5 cores: the same bfloat16 numbers at 1.3 × the rate for many rows and 2.4 × for
one; float32 to 1e-6 at 2 ×. The operators are those that torch's own compiler calls.
"""

# I in  O out

from __future__ import annotations

import ctypes
import itertools
import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from sightline.core.errors import TrainError
from sightline.nn.linear import Joint, Matrix, joined
from sightline.spec.layers import Activation

_FUSED: dict[Activation, tuple[str, str]] = {  # our name: oneDNN's, and its variant
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
    "silu": ("swish", ""),
}
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # of malloc.h

KEEP_BYTES = 256 << 20  # freed values that glibc keeps for the next pass
RETURN_BYTES = 64 << 20  # freed plain values that may wait before they go back to the system


def pack(model: nn.Module) -> None:
    """Lay out every matrix of `model` in place, and run linears with one input as one product.

    Plain values are freed matrix by matrix, so no second copy of the model is ever held. A head
    that shares the embedding gets a copy of its own: rows are still looked up in the plain one.
    What oneDNN cannot run natively (another device or dtype, a torch without it) and layers with an
    adapter or in NF4 stay as they are and give equal results. Until `unpack`, the model raises
    WeightError when saved, loaded, moved or cast, and TrainError when asked for gradients.

    With glibc the process keeps up to KEEP_BYTES of freed memory from then on: else every layer of
    a prefill gives its pages back, and finding new ones takes up to a sixth of the time.
    """
    freed = 0
    with torch.no_grad():
        for host in _hosts(model):
            if all(_can_pack(part) for part in host.parts):
                freed += _pack(host)
            if freed > RETURN_BYTES:
                freed = _return_freed_memory()
    _return_freed_memory()
    keep_freed_memory()


def native(dtype: torch.dtype) -> bool:
    """Whether this torch has oneDNN and oneDNN computes `dtype` on this CPU."""
    operators = torch.ops.mkldnn
    if not torch.backends.mkldnn.is_available() or not hasattr(operators, "_linear_pointwise"):
        return False
    if dtype == torch.bfloat16:
        return bool(operators._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def unpack(model: nn.Module) -> None:
    """Bring back plain parameters, bit for bit; nothing happens to what is not packed."""
    with torch.no_grad():
        for host in _hosts(model):
            if isinstance(host.kernel, Packed):
                _unpack(host, host.kernel)


class Packed:
    """One or several matrices below each other in oneDNN's layout."""

    def __init__(self, parts: Sequence[Matrix]) -> None:
        self.parts = tuple(parts)
        self.sizes = [part.values.shape[0] for part in parts]
        plain_OI, self.bias_O = joined(parts)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(plain_OI, None)

    def __call__(self, x: Tensor, activation: Activation | None = None) -> Tensor:
        """x[..., I] -> x[..., O]."""
        if torch.is_grad_enabled():
            self._refuse_gradients(x)
        attribute, variant = ("none", "") if activation is None else _FUSED[activation]
        product: Tensor = torch.ops.mkldnn._linear_pointwise.default(
            x, self.weight, self.bias_O, attribute, [], variant
        )
        return product

    def fuses(self, activation: Activation) -> bool:
        return activation in _FUSED

    def plain(self) -> tuple[Tensor, ...]:
        """The matrices as they were before."""
        return self.weight.to_dense().split(self.sizes)

    def _refuse_gradients(self, x: Tensor) -> None:
        if x.requires_grad or any(
            p.requires_grad for part in self.parts for p in part.parameters()
        ):
            raise TrainError(
                "model",
                "was asked for gradients, but its weights are laid out for inference",
                "call sightline.nn.packed.unpack before training, or torch.inference_mode()",
            )


class Rows:
    """A part of a joint matrix, for whoever runs that part alone."""

    def __init__(self, whole: Packed, start: int, stop: int) -> None:
        self.whole, self.start, self.stop = whole, start, stop

    def __call__(self, x: Tensor, activation: Activation | None = None) -> Tensor:
        return self.whole(x, activation)[..., self.start : self.stop]

    def fuses(self, activation: Activation) -> bool:
        return self.whole.fuses(activation)


def _hosts(model: nn.Module) -> Iterator[Joint | Matrix]:
    """Everything that can run a kernel, joints before the parts that they contain."""
    modules = list(model.modules())
    for module in modules:
        yield from (value for value in vars(module).values() if isinstance(value, Joint))
    yield from (module for module in modules if isinstance(module, Matrix))


def _can_pack(matrix: Matrix) -> bool:
    if not matrix.is_plain:
        return False
    return matrix.values.device.type == "cpu" and native(matrix.values.dtype)


def _pack(host: Joint | Matrix) -> int:
    """Give the host its kernel; returns the bytes of plain values that were freed."""
    host.kernel = whole = Packed(host.parts)
    if isinstance(host, Joint):
        edges = itertools.pairwise(itertools.accumulate(host.sizes, initial=0))
        for part, (start, stop) in zip(host.parts, edges, strict=True):
            part.kernel = Rows(whole, start, stop)
    return sum(_empty(part) for part in host.parts)


def _empty(matrix: Matrix) -> int:
    """Free the plain values; name, shape, dtype and whether they train stay visible."""
    if (weight := matrix.weight) is None:
        return 0
    meta = torch.empty_like(weight, device="meta")
    matrix.weight = nn.Parameter(meta, requires_grad=weight.requires_grad)
    return weight.nbytes


def _unpack(host: Joint | Matrix, kernel: Packed) -> None:
    host.kernel = None
    for part, values_OI in zip(host.parts, kernel.plain(), strict=True):
        part.kernel = None
        if (weight := part.weight) is not None:
            part.weight = nn.Parameter(values_OI.clone(), requires_grad=weight.requires_grad)


def _return_freed_memory() -> int:
    """Hand freed pages back to the system: glibc keeps those between blocks in use. Returns 0."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return 0


def keep_freed_memory() -> None:
    """From now on: a pass then finds its memory in place (one of training, too: a tenth faster
    at small sizes). Blocks up to glibc's largest limit, 32 MB, come from what is kept. What is
    freed beyond twice as much goes back, but not all of it, as it would without a pad."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * KEEP_BYTES)
        libc.mallopt(_M_TOP_PAD, KEEP_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
