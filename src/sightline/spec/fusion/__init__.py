"""Where visual tokens meet the language model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.spec.fusion.interleave import InSequenceSpec, InterleaveSpec

FusionSpec = Annotated[InterleaveSpec, Field(discriminator=None)]

__all__ = ["FusionSpec", "InSequenceSpec", "InterleaveSpec"]
