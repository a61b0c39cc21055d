"""Frozen matrices in four bits, NormalFloat 4 (QLoRA, Dettmers et al. 2023), by bitsandbytes."""

# I in  O out  N bytes of codes  S scales, one for 64 values  G groups of 256 scales

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.errors import TrainError, WeightError
from sightline.nn.linear import Linear
from sightline.nn.lora import LowRank

BLOCK, GROUP = 64, 256
EXTRA = "pip install 'sightline[train]'"


class Nf4(nn.Module):
    """A matrix [O, I] as codes of four bits, a scale for each 64 values, and nothing else.

    `double` stores the scales in eight bits, with a scale of their own for each 256 and an offset:
    0.258 of bfloat16's bytes in place of 0.281. All are buffers, plain tensors: `codes`
    uint8[N, 1], `scales` float32[S] or uint8[S], and with `double` `outer` float32[G] and `offset`
    float32[]. They are moved but never cast; `values` has the dtype that the model has.
    """

    codes: Tensor
    scales: Tensor
    outer: Tensor | None
    offset: Tensor | None

    def __init__(self, values_OI: Tensor, *, double: bool = True) -> None:
        super().__init__()
        self.shape, self.dtype = values_OI.shape, values_OI.dtype
        codes, state = bitsandbytes("qlora").functional.quantize_4bit(
            values_OI.detach().contiguous(),
            blocksize=BLOCK,
            compress_statistics=double,
            quant_type="nf4",
        )
        self.register_buffer("codes", codes)
        self.register_buffer("scales", state.absmax)
        self.register_buffer("outer", state.state2.absmax if double else None)
        self.register_buffer("offset", state.offset if double else None)

    def values(self) -> Tensor:
        """The matrix [O, I] that the codes stand for."""
        f = bitsandbytes("qlora").functional
        made: Tensor = f.dequantize_4bit(self.codes, self._state(f))
        return made

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x[..., I] -> x[..., O]; the plain matrix is made for the product, and again backwards."""
        product: Tensor = _Product.apply(x, bias, self)
        return product

    def _state(self, f: Any) -> Any:
        """What bitsandbytes needs to know beside the codes."""
        inner = None
        if (outer := self.outer) is not None:
            levels = _levels(outer.device)
            inner = f.QuantState(absmax=outer, code=levels, blocksize=GROUP, dtype=torch.float32)
        return f.QuantState(
            absmax=self.scales,
            shape=self.shape,
            code=f.get_4bit_type("nf4", device=self.codes.device),
            blocksize=BLOCK,
            quant_type="nf4",
            dtype=self.dtype,
            offset=self.offset,
            state2=inner,
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Nf4:
        self.dtype = fn(torch.empty(0, dtype=self.dtype)).dtype
        for name, buffer in self._buffers.items():
            if buffer is not None:
                moved = fn(buffer)
                same = moved.dtype == buffer.dtype
                self._buffers[name] = moved if same else buffer.to(moved.device)
        return self


class _Product(torch.autograd.Function):
    """x Wᵀ + bias without keeping W: autograd of the plain product would hold every matrix."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, store: Nf4) -> Tensor:
        ctx.store = store
        return F.linear(x, store.values().to(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        wants_x, wants_bias, _ = ctx.needs_input_grad
        to_x = grad @ ctx.store.values().to(grad.dtype) if wants_x else None
        to_bias = grad.flatten(0, -2).sum(0) if wants_bias else None
        return to_x, to_bias, None


@lru_cache(maxsize=16)
def _levels(device: torch.device) -> Tensor:
    """The 256 values that codes of scales stand for; the same for all matrices."""
    made: Tensor = bitsandbytes("qlora").functional.create_dynamic_map().to(device)
    return made


def bitsandbytes(field: str) -> Any:
    """The package, imported when first used. Raises TrainError where it is not installed.

    Importing it fetches compiled code from the hub where the package `kernels` is installed: that
    is hidden from it meanwhile, and so is the complaint that it is missing.
    """
    if (found := sys.modules.get("bitsandbytes")) is not None:
        return found
    logger, kernels = logging.getLogger("bitsandbytes"), sys.modules.get("kernels")
    level = logger.level
    logger.setLevel(logging.ERROR)
    sys.modules["kernels"] = None  # type: ignore[assignment]  # importing it is an ImportError
    try:
        return importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise TrainError(field, f"needs bitsandbytes ({error})", EXTRA) from None
    finally:
        logger.setLevel(level)
        del sys.modules["kernels"]
        if kernels is not None:
            sys.modules["kernels"] = kernels


@torch.no_grad()
def quantise(layers: Iterable[Linear], *, double: bool = True) -> None:
    """Put the matrix of every layer into NF4, one after the other, and free the plain one.

    The layers no longer train; biases stay plain. Raises WeightError for a layer that is laid out
    for inference or on device "meta".
    """
    for linear in layers:
        linear.refuse_if_packed("quantised")
        if linear.store is not None:
            continue
        if linear.weight.is_meta:
            raise WeightError("model", "has no values yet", "load it before it is quantised")
        linear.store = Nf4(linear.weight, double=double)
        linear.register_parameter("weight", None)
        if linear.bias is not None:
            linear.bias.requires_grad_(False)


@dataclass(frozen=True, slots=True)
class AdapterMemory:
    """Bytes of a model's tensors: matrices in NF4, what they would take in bfloat16, adapters,
    and all that is left."""

    quantised_layers: int
    quantised_bytes: int
    plain_bytes: int
    adapter_bytes: int
    adapter_parameters: int
    other_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.quantised_bytes + self.adapter_bytes + self.other_bytes

    @property
    def share(self) -> float:
        """Of bfloat16's bytes that the quantised matrices take."""
        return self.quantised_bytes / self.plain_bytes if self.plain_bytes else 1.0

    def __str__(self) -> str:
        rows = [("whole model", _mib(self.total_bytes))]
        if self.quantised_layers:
            told = f"{self.share:.3f} of bfloat16's {_mib(self.plain_bytes)}"
            name = f"{self.quantised_layers} matrices in NF4"
            rows.append((name, f"{_mib(self.quantised_bytes)}, {told}"))
        count = f"{self.adapter_parameters:,} parameters"
        rows += [("adapters", f"{_mib(self.adapter_bytes)}, {count}")]
        rows += [("everything else", _mib(self.other_bytes))]
        return "\n".join(f"{name:<24}{text}" for name, text in rows)


def adapter_memory(model: nn.Module) -> AdapterMemory:
    """Measure the storage of every tensor of a model, shared ones once; print it to see it."""
    stores = [m for m in model.modules() if isinstance(m, Nf4)]
    adapters = [m for m in model.modules() if isinstance(m, LowRank)]
    quantised, adapted = _bytes(stores), _bytes(adapters)
    return AdapterMemory(
        quantised_layers=len(stores),
        quantised_bytes=quantised,
        plain_bytes=sum(2 * store.shape.numel() for store in stores),
        adapter_bytes=adapted,
        adapter_parameters=sum(p.numel() for m in adapters for p in m.parameters()),
        other_bytes=_bytes([model]) - quantised - adapted,
    )


def _bytes(modules: Iterable[nn.Module]) -> int:
    held: dict[int, int] = {}
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
    return sum(held.values())


def _mib(count: int) -> str:
    return f"{count / 2**20:,.2f} MiB"
