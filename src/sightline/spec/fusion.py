"""Where visual tokens meet the language model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.core.config import Spec


class InterleaveSpec(Spec):
    """Visual tokens stand in the sequence in place of their placeholders (LLaVA)."""

    kind: Literal["interleave"] = "interleave"


FusionSpec = Annotated[InterleaveSpec, Field(discriminator=None)]
