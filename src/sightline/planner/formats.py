"""How many bytes a parameter takes in each weight format."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sightline.core.errors import PlanError
from sightline.planner.pieces import Weight
from sightline.spec.hardware import ComputeDtype

WeightDtype = Literal["fp32", "bf16", "fp16", "int8", "int4", "nf4"]


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """`bits` for each number of a linear layer's matrix and `scale_bits` for each group of inputs.

    Everything else (embeddings, head, norms, biases) stays in `other_bits`; `compute` is what the
    arithmetic runs in: quantised matrices are widened as they are read.
    """

    bits: int
    compute: ComputeDtype
    other_bits: int = 16
    group: int | None = None
    scale_bits: float = 0

    def bits_of(self, weight: Weight) -> float:
        """Bits of all copies of one parameter."""
        if weight.role not in ("linear", "memory"):
            return weight.count * self.other_bits
        if self.group is None:
            return weight.count * self.bits
        rows, inputs = weight.shape
        groups = rows * math.ceil(inputs / self.group) * weight.copies
        return weight.count * self.bits + groups * self.scale_bits

    @property
    def value_bytes(self) -> int:
        """Bytes of one activation, key or value."""
        return 4 if self.compute == "fp32" else 2


FORMATS: dict[WeightDtype, WeightFormat] = {
    "fp32": WeightFormat(32, "fp32", other_bits=32),
    "bf16": WeightFormat(16, "bf16"),
    "fp16": WeightFormat(16, "fp16"),
    "int8": WeightFormat(8, "bf16", group=64, scale_bits=16),
    "int4": WeightFormat(4, "bf16", group=64, scale_bits=16),
    # QLoRA: blocks of 64, their scales in 8 bits with one float32 for every 256 of them
    "nf4": WeightFormat(4, "bf16", group=64, scale_bits=8 + 32 / 256),
}


def weight_bytes(found: Iterable[Weight], dtype: WeightDtype) -> int:
    """Bytes that these parameters take in memory."""
    return math.ceil(sum(FORMATS[dtype].bits_of(weight) for weight in found) / 8)


def as_dtype(name: str) -> WeightDtype:
    """The format of this name. Raises PlanError for others."""
    for known in FORMATS:
        if known == name:
            return known
    raise PlanError("dtype", f"{name!r} is not known", f"use one of {', '.join(FORMATS)}")
