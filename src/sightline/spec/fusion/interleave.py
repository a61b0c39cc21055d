"""Visual tokens in the sequence."""

from __future__ import annotations

from typing import Literal

from sightline.core.config import Spec


class InSequenceSpec(Spec):
    """What fusions share whose visual tokens stand in place of their placeholders.

    mask: who sees whom beside the causal order: `prefix` lets the whole prompt see itself
    (PaliGemma), `media` each picture (Gemma 3).
    positions: `sequential` counts every token; `grid` gives visual tokens time, row and column on
    three axes (M-RoPE, Qwen2-VL); `shared` gives all of a picture one position (CogVLM).
    """

    mask: Literal["causal", "prefix", "media"] = "causal"
    positions: Literal["sequential", "grid", "shared"] = "sequential"


class InterleaveSpec(InSequenceSpec):
    """Nothing but that (LLaVA)."""

    kind: Literal["interleave"] = "interleave"
