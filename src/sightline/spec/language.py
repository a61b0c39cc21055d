"""The language model: one decoder with the switches of the published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

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
    """Rotary positions (Su et al. 2021), half-split pairs; `fraction` of each head turns.

    `sections` (M-RoPE, Qwen2-VL) deals the pairs to three axes: so many turn with time, row and
    column. They are runs, or `interleaved` (Qwen3-VL): pair 3k + 1 turns with the row and 3k + 2
    with the column as long as their sections last, all others with time.
    """

    kind: Literal["rope"] = "rope"
    theta: float = Field(default=10_000.0, gt=1)
    fraction: float = Field(default=1.0, gt=0, le=1)
    scaling: RopeScaling | None = None
    sections: tuple[int, int, int] | None = None
    interleaved: bool = False

    @model_validator(mode="after")
    def _deals_pairs(self) -> RopeSpec:
        if self.sections is None:
            if self.interleaved:
                raise SpecError("interleaved", "has no meaning without sections", "remove it")
            return self
        if min(self.sections) < 0:
            raise SpecError("sections", f"{self.sections} has a negative count", "use 0 or more")
        if isinstance(self.scaling, DynamicScaling):
            raise SpecError("scaling", "dynamic knows one axis only", "use another kind")
        return self

    def axes(self, pairs: int) -> tuple[int, ...]:
        """The axis of each of `pairs` pairs: 0 time, 1 row, 2 column."""
        if self.sections is None:
            return (0,) * pairs
        if not self.interleaved:
            return tuple(axis for axis, count in enumerate(self.sections) for _ in range(count))
        return tuple(i % 3 if i < 3 * self.sections[i % 3] else 0 for i in range(pairs))


class LearnedPositionsSpec(Spec):
    """One learned vector for each of `context` places, added to the embeddings (OPT, GPT-2).

    The table has `offset` rows before that of the first place (OPT: 2, once for padding).
    """

    kind: Literal["learned"] = "learned"
    offset: int = Field(default=0, ge=0)


def _kind_of_positions(given: Any) -> str:
    """Rotary where nothing is said."""
    kind = given.get("kind", "rope") if isinstance(given, Mapping) else given.kind
    return str(kind)


PositionsSpec = Annotated[
    Annotated[RopeSpec, Tag("rope")] | Annotated[LearnedPositionsSpec, Tag("learned")],
    Discriminator(_kind_of_positions),
]


class AttentionSpec(Spec):
    """Self-attention of one decoder block; `head_dim` is independent of the width.

    `window` is the number of latest tokens a token sees (itself included) in `windowed_layers`
    (None: all layers). `qk_norm`: RMS norm of each head's queries and keys before rotation.
    `scale` None means head_dim ** -0.5. `soft_cap` c turns scores s into c · tanh(s / c) (Gemma 2).
    """

    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: Literal["none", "rms"] = "none"
    scale: float | None = Field(default=None, gt=0)
    soft_cap: float | None = Field(default=None, gt=0)
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

    block: `sequential` (Llama), `sandwich` (sequential, with a norm after attention and MLP, too:
    Gemma 2), `parallel` (one norm feeds attention and MLP: Phi-2, Falcon-7B) or
    `parallel_two_norms` (Falcon-40B). `context` is the number of positions it was made for.
    `windowed_positions`: other rotations in layers with a window (Gemma 3); None: the same.
    `embedding_scale` multiplies token embeddings (not visual tokens); Gemma: sqrt(width).
    `logit_soft_cap` c turns logits l into c · tanh(l / c) (Gemma 2).
    `unspoken` ids after the vocabulary have an embedding and no logit (Mllama: 8).
    """

    kind: Literal["decoder"] = "decoder"
    vocab: int = Field(ge=1)
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    context: int = Field(ge=1)
    attention: AttentionSpec
    mlp: MlpBlockSpec
    norm: NormSpec = RmsNormSpec()
    block: Literal["sequential", "sandwich", "parallel", "parallel_two_norms"] = "sequential"
    positions: PositionsSpec = RopeSpec()
    windowed_positions: RopeSpec | None = None
    embedding_scale: float | None = Field(default=None, gt=0)
    unspoken: int = Field(default=0, ge=0)
    tied_head: bool = False
    head_bias: bool = False
    logit_soft_cap: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _rotates(self) -> DecoderSpec:
        if not isinstance(self.positions, RopeSpec):
            return self
        rotated = self.rotated_dim
        if rotated < 2 or rotated % 2:
            raise SpecError(
                "positions.fraction",
                f"rotates {rotated} of {self.attention.head_dim} dimensions",
                "choose an even number of at least 2",
            )
        sections = self.positions.sections
        if sections is not None and sum(sections) != rotated // 2:
            raise SpecError(
                "positions.sections",
                f"{sections} deals {sum(sections)} of {rotated // 2} pairs",
                "deal them all",
            )
        if rotated == 2 and isinstance(self.positions.scaling, DynamicScaling):
            raise SpecError(
                "positions.scaling", "dynamic needs two pairs to turn", "turn 4 dimensions or more"
            )
        return self

    @model_validator(mode="after")
    def _speaks_what_it_reads(self) -> DecoderSpec:
        if self.unspoken and self.tied_head:
            raise SpecError(
                "unspoken", "rows have no logit, but the head is the embedding", "untie the head"
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

    @model_validator(mode="after")
    def _windows_rotate_alike(self) -> DecoderSpec:
        local, rope = self.windowed_positions, self.positions
        if local is None:
            return self
        if self.attention.window is None:
            raise SpecError("windowed_positions", "has no meaning without a window", "remove it")
        if not isinstance(rope, RopeSpec) or rope.fraction != local.fraction:
            raise SpecError(
                "windowed_positions", "turns other dimensions than positions", "turn the same"
            )
        if isinstance(local.scaling, DynamicScaling):
            raise SpecError("windowed_positions.scaling", "is dynamic", "use another kind")
        return self

    @property
    def rotated_dim(self) -> int:
        """Dimensions of each head that the rotary positions turn; 0 without them."""
        if not isinstance(self.positions, RopeSpec):
            return 0
        return int(self.attention.head_dim * self.positions.fraction)

    @property
    def attention_scale(self) -> float:
        scale = self.attention.scale
        return scale if scale is not None else 1 / math.sqrt(self.attention.head_dim)

    def kv_bytes(self, tokens: int, memory_tokens: int = 0, *, bytes_per_value: int = 2) -> int:
        """Bytes of keys and values for one sequence; windowed layers keep only their window.

        `memory_tokens` are rows of cross-attention memory, which the fusion counts.
        """
        del memory_tokens
        per_token = 2 * self.attention.kv_heads * self.attention.head_dim * bytes_per_value
        kept = (min(tokens, self.attention.window_of(i) or tokens) for i in range(self.depth))
        return per_token * sum(kept)


LanguageSpec = Annotated[DecoderSpec, Field(discriminator=None)]
