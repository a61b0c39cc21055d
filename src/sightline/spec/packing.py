"""Whether conversations may stand end to end in one row."""

from __future__ import annotations

from sightline.spec.language import DynamicScaling, RopeSpec
from sightline.spec.model import ModelSpec


def packing_refusal(spec: ModelSpec) -> str | None:
    """Why this model cannot be trained on packed conversations; None where it can.

    Masks, groups, positions and memories know their document, whatever the fusion. What cannot is
    a rotation that follows the length of the whole sequence.
    """
    rope = spec.language.positions
    if isinstance(rope, RopeSpec) and isinstance(rope.scaling, DynamicScaling):
        return "its rotary angles follow the length of the sequence (dynamic scaling)"
    return None
