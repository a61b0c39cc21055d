"""How questions are asked: under which controls, how many together, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sightline.core.errors import DataError
from sightline.eval.controls import Blind, Control, Full, Swapped
from sightline.eval.item import Item

SIMILAR_LENGTH = 32  # characters


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are asked.

    Attributes:
        controls: the first is Full.
        batch: questions answered together.
        max_tokens: of an answer; None takes the task's.
        seed: of the shuffled control.
        evidence: also measure how much each answer rests on its picture, in nats a token.
        choose: `likelihood` answers a choice by its likeliest letter, without generating.
    """

    controls: tuple[Control, ...] = (Full(), Blind(), Swapped())
    batch: int = 32
    max_tokens: int | None = None
    seed: int = 0
    evidence: bool = False
    choose: Literal["generate", "likelihood"] = "generate"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise DataError("batch", f"is {self.batch}", "use at least 1")
        if not self.controls or not isinstance(self.controls[0], Full):
            raise DataError("controls", "do not begin with full", "put Full() first")


@dataclass(frozen=True, slots=True)
class Batch:
    """Items, by number, that are asked together under one control."""

    control: Control
    numbers: tuple[int, ...]


def batches(items: Sequence[Item], asking: Asking) -> list[Batch]:
    """Every item under every control, similar lengths together. They depend on the items and on
    `asking` alone, so that a resumed run, or one of several processes, computes the same ones.

    Among similar lengths the order is that of the task: a file of rows is decoded in blocks, and
    each block then serves many pictures."""
    lengths = [len(item.question) // SIMILAR_LENGTH for item in items]
    order = sorted(range(len(items)), key=lambda i: (items[i].kind, lengths[i], i))
    size = asking.batch
    return [
        Batch(control, tuple(order[start : start + size]))
        for control in asking.controls
        for start in range(0, len(order), size)
    ]
