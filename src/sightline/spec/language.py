"""The language model: one decoder with the switches of the published ones."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.layers import Activation, NormSpec, RmsNormSpec


class LinearScaling(Spec):
    """Positions divided by `factor`."""

    kind: Literal["linear"] = "linear"
    factor: float = Field(gt=0)


class DynamicScaling(Spec):
    """NTK-aware base that grows once a sequence is longer than `original_context`.

    It turns all earlier tokens anew with every token beyond: such an answer cannot be cached.
    """

    kind: Literal["dynamic"] = "dynamic"
    factor: float = Field(gt=0)
    original_context: int = Field(ge=1)


class Llama3Scaling(Spec):
    """Llama 3.1's blend: long wavelengths divided by `factor`, short ones kept."""

    kind: Literal["llama3"] = "llama3"
    factor: float = Field(gt=0)
    low_freq_factor: float = Field(gt=0)
    high_freq_factor: float = Field(gt=0)
    original_context: int = Field(ge=1)

    @model_validator(mode="after")
    def _low_before_high(self) -> Llama3Scaling:
        if self.low_freq_factor >= self.high_freq_factor:
            raise SpecError(
                "high_freq_factor",
                f"{self.high_freq_factor} is not above low_freq_factor {self.low_freq_factor}",
                "exchange them (Llama 3.1: 1 and 4)",
            )
        return self


class YarnScaling(Spec):
    """YaRN (Peng et al. 2023); `attention_factor` None means 0.1·ln(factor) + 1, at least 1."""

    kind: Literal["yarn"] = "yarn"
    factor: float = Field(gt=0)
    original_context: int = Field(ge=1)
    beta_fast: float = Field(default=32.0, gt=0)
    beta_slow: float = Field(default=1.0, gt=0)
    attention_factor: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _slow_before_fast(self) -> YarnScaling:
        if self.beta_slow > self.beta_fast:
            raise SpecError(
                "beta_fast",
                f"{self.beta_fast} is below beta_slow {self.beta_slow}",
                "exchange them (the paper: 32 and 1)",
            )
        return self


RopeScaling = Annotated[
    LinearScaling | DynamicScaling | Llama3Scaling | YarnScaling, Field(discriminator="kind")
]


class RopeSpec(Spec):
    """Rotary positions (Su et al. 2021), half-split pairs; `fraction` of each head turns."""

    kind: Literal["rope"] = "rope"
    theta: float = Field(default=10_000.0, gt=1)
    fraction: float = Field(default=1.0, gt=0, le=1)
    scaling: RopeScaling | None = None


class AttentionSpec(Spec):
    """Self-attention of one decoder block; `head_dim` is independent of the width.

    `window` is the number of latest tokens a token sees (itself included) in `windowed_layers`
    (None: all layers). `qk_norm`: RMS norm of each head's queries and keys before rotation.
    `scale` None means head_dim ** -0.5.
    """

    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: Literal["none", "rms"] = "none"
    scale: float | None = Field(default=None, gt=0)
    window: int | None = Field(default=None, ge=1)
    windowed_layers: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _groups(self) -> AttentionSpec:
        if self.heads % self.kv_heads:
            raise SpecError(
                "kv_heads",
                f"{self.kv_heads} does not divide heads {self.heads}",
                "choose a divisor",
            )
        if self.windowed_layers is not None and self.window is None:
            raise SpecError("windowed_layers", "has no meaning without a window", "remove it")
        return self

    def window_of(self, layer: int) -> int | None:
        """The window of this layer, or None where it sees everything."""
        inside = self.windowed_layers is None or layer in self.windowed_layers
        return self.window if inside else None


class MlpBlockSpec(Spec):
    """`gated`: down(act(gate x) · up x); `plain`: down(act(up x))."""

    kind: Literal["gated", "plain"] = "gated"
    width: int = Field(ge=1)
    activation: Activation = "silu"
    bias: bool = False


class DecoderSpec(Spec):
    """A causal transformer decoder.

    block: `sequential` (Llama), `parallel` (one norm feeds attention and MLP: Phi-2, Falcon-7B)
    or `parallel_two_norms` (Falcon-40B). `context` is the number of positions it was made for.
    `embedding_scale` multiplies token embeddings (not visual tokens); Gemma: sqrt(width).
    """

    kind: Literal["decoder"] = "decoder"
    vocab: int = Field(ge=1)
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    context: int = Field(ge=1)
    attention: AttentionSpec
    mlp: MlpBlockSpec
    norm: NormSpec = RmsNormSpec()
    block: Literal["sequential", "parallel", "parallel_two_norms"] = "sequential"
    positions: RopeSpec = RopeSpec()
    embedding_scale: float | None = Field(default=None, gt=0)
    tied_head: bool = False
    head_bias: bool = False

    @model_validator(mode="after")
    def _rotates(self) -> DecoderSpec:
        rotated = self.rotated_dim
        if rotated < 2 or rotated % 2:
            raise SpecError(
                "positions.fraction",
                f"rotates {rotated} of {self.attention.head_dim} dimensions",
                "choose an even number of at least 2",
            )
        if rotated == 2 and isinstance(self.positions.scaling, DynamicScaling):
            raise SpecError(
                "positions.scaling", "dynamic needs two pairs to turn", "turn 4 dimensions or more"
            )
        return self

    @model_validator(mode="after")
    def _windows_exist(self) -> DecoderSpec:
        for layer in self.attention.windowed_layers or ():
            if not 0 <= layer < self.depth:
                raise SpecError(
                    "attention.windowed_layers",
                    f"{layer} is not one of {self.depth} layers",
                    f"use 0..{self.depth - 1}",
                )
        return self

    @property
    def rotated_dim(self) -> int:
        """Dimensions of each head that the rotary positions turn."""
        return int(self.attention.head_dim * self.positions.fraction)

    @property
    def attention_scale(self) -> float:
        scale = self.attention.scale
        return scale if scale is not None else 1 / math.sqrt(self.attention.head_dim)

    def kv_bytes(self, tokens: int, memory_tokens: int = 0, *, bytes_per_value: int = 2) -> int:
        """Bytes of keys and values for one sequence; windowed layers keep only their window.

        `memory_tokens` are rows of cross-attention memory; this decoder has no such layers.
        """
        del memory_tokens
        per_token = 2 * self.attention.kv_heads * self.attention.head_dim * bytes_per_value
        kept = (min(tokens, self.attention.window_of(i) or tokens) for i in range(self.depth))
        return per_token * sum(kept)


LanguageSpec = Annotated[DecoderSpec, Field(discriminator=None)]
