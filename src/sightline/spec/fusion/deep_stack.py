"""Visual tokens in the sequence, deeper features added to them layer by layer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.spec.fusion.interleave import InSequenceSpec


class DeepStackSpec(InSequenceSpec):
    """DeepStack (Meng et al. 2024) as Qwen3-VL has it.

    After each of the first `levels` layers of the language model, the features of that level are
    added to the rows of visual tokens.
    """

    kind: Literal["deep_stack"] = "deep_stack"
    levels: int = Field(ge=1)
