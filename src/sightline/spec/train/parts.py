"""What of a model trains, and how: part by part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.core.config import Spec

# `fusion`: what a fusion adds to the language model (blocks that read a memory, experts of visual
# rows); nothing for models whose visual tokens only stand in the sequence.
Part = Literal["vision", "connector", "fusion", "language"]
PARTS: tuple[Part, ...] = ("vision", "connector", "fusion", "language")


class FullSpec(Spec):
    """All weights of the part.

    lr, weight_decay: in place of the stage's. layer_decay: each block's rate is this times the rate
    of the block above it (BEiT, Bao et al. 2021); what comes before the blocks counts as one more.
    """

    how: Literal["full"] = "full"
    lr: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)


class AdapterSpec(Spec):
    """Low-rank adapters on the part's matrices, which stay as they are.

    lora: Hu et al. 2021. dora: with a trained magnitude (Liu et al. 2024). qlora: the matrices are
    held in NF4 (Dettmers et al. 2023). The product is scaled by alpha / rank. matrices: names of
    linear layers (q, k, v, out, gate, up, down, ...); None takes every matrix of the blocks.
    """

    how: Literal["lora", "dora", "qlora"]
    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    matrices: tuple[str, ...] | None = None
    lr: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)


PartSpec = Annotated[FullSpec | AdapterSpec, Field(discriminator="how")]
