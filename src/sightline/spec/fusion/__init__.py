"""Where visual tokens meet the language model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.spec.fusion.cross_attention import CrossAttentionSpec
from sightline.spec.fusion.deep_stack import DeepStackSpec
from sightline.spec.fusion.interleave import InSequenceSpec, InterleaveSpec
from sightline.spec.fusion.visual_expert import VisualExpertSpec

FusionSpec = Annotated[
    InterleaveSpec | CrossAttentionSpec | DeepStackSpec | VisualExpertSpec,
    Field(discriminator="kind"),
]

__all__ = [
    "CrossAttentionSpec",
    "DeepStackSpec",
    "FusionSpec",
    "InSequenceSpec",
    "InterleaveSpec",
    "VisualExpertSpec",
]
