"""Bridges from vision features to the language model's width."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.spec.layers import Activation


class LinearSpec(Spec):
    """One matrix (LLaVA v1, PaliGemma)."""

    kind: Literal["linear"] = "linear"
    bias: bool = True

    def tokens(self, features: int) -> int:
        """Visual tokens for `features` encoder rows."""
        return features


class MlpSpec(Spec):
    """`depth` matrices with an activation between them (LLaVA 1.5: depth 2, exact GELU).

    `hidden` is the inner width; None means the language width.
    """

    kind: Literal["mlp"] = "mlp"
    depth: int = Field(default=2, ge=1, le=3)
    activation: Activation = "gelu"
    hidden: int | None = Field(default=None, ge=1)
    bias: bool = True

    def tokens(self, features: int) -> int:
        """Visual tokens for `features` encoder rows."""
        return features


ConnectorSpec = Annotated[LinearSpec | MlpSpec, Field(discriminator="kind")]
