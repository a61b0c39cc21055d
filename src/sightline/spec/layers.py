"""Choices that several parts share: activations and norms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.core.config import Spec

Activation = Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "silu"]


class RmsNormSpec(Spec):
    """x / rms(x) · w, or · (1 + w) computed in float32 with `unit_offset` (Gemma)."""

    kind: Literal["rms"] = "rms"
    eps: float = Field(default=1e-6, gt=0)
    unit_offset: bool = False


class LayerNormSpec(Spec):
    """(x - mean) / std · w + b."""

    kind: Literal["layer"] = "layer"
    eps: float = Field(default=1e-5, gt=0)


NormSpec = Annotated[RmsNormSpec | LayerNormSpec, Field(discriminator="kind")]
