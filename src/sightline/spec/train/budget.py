"""A stage of training as a planner sees it: how much, not how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.train.parts import Part


class LoraBudget(Spec):
    """Adapters on every matrix of the language blocks (Hu et al. 2021).

    base: what the frozen matrices are stored as; `nf4` is QLoRA (Dettmers et al. 2023).
    """

    rank: int = Field(default=64, ge=1)
    base: Literal["bf16", "nf4"] = "bf16"


class StageBudget(Spec):
    """One stage: what trains, and on how much.

    trains: parts whose own parameters are updated. lora: adapters on the language model besides.
    adapts: other parts that have adapters, which cost too little to count but let gradient through.
    Tokens are means of one sample; `target_tokens` of them (default: all of its text) have a loss.
    images: width and height in pixels of the pictures of one sample.
    micro_batch: samples that one device holds activations of at a time.
    """

    name: str = Field(min_length=1)
    trains: tuple[Part, ...] = ("connector", "fusion", "language")
    lora: LoraBudget | None = None
    adapts: tuple[Part, ...] = ()
    samples: int = Field(ge=1)
    epochs: float = Field(default=1, gt=0)
    text_tokens: int = Field(default=250, ge=1)
    target_tokens: int | None = Field(default=None, ge=1)
    images: tuple[tuple[int, int], ...] = ((336, 336),)
    micro_batch: int = Field(default=8, ge=1)
    checkpointing: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> StageBudget:
        if not self.trains and self.lora is None and not self.adapts:
            raise SpecError("trains", "names no part and there is no lora", "name one of them")
        if self.lora is not None and "language" in self.trains:
            raise SpecError(
                "lora", "adapts a language model that trains in full", "remove one of the two"
            )
        if self.targets > self.text_tokens:
            raise SpecError(
                "target_tokens",
                f"{self.targets} exceed the {self.text_tokens} text tokens",
                "lower it",
            )
        if any(side < 1 for size in self.images for side in size):
            raise SpecError("images", f"{self.images} has an empty side", "give pixels of 1 up")
        return self

    @property
    def targets(self) -> int:
        """Tokens of a sample that have a loss."""
        return self.text_tokens if self.target_tokens is None else self.target_tokens
