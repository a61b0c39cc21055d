"""Visual tokens beside the sequence, read by cross-attention."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.language import AttentionSpec, DecoderSpec, MlpBlockSpec
from sightline.spec.layers import NormSpec


class CrossAttentionSpec(Spec):
    """Blocks that read visual memory through tanh gates, before some blocks of the decoder.

    | switch | Flamingo (Alayrac et al. 2022) | IDEFICS           | Mllama (Llama 3.2 Vision) |
    |--------|--------------------------------|-------------------|---------------------------|
    | layers | every n-th, ending a group     | every n-th from 0 | 3, 7, … 31 of 32          |
    | sees   | latest                         | latest            | run                       |
    | blind  | nothing                        | nothing           | everything                |
    | norm   | layer                          | the decoder's     | the decoder's             |
    | mlp    | plain gelu, 4 × width          | the decoder's     | the decoder's             |
    | gate   | scalar                         | scalar or vector  | scalar                    |

    A picture is its placeholder in the sequence and its rows in the memory. `layers` are the
    decoder's blocks that one stands before; Mllama's files count these among the layers (3, 8, … 38
    of 40).
    sees: a token reads the `latest` picture begun before or at it, the latest `run` of pictures
    with nothing between, or `all` so far.
    blind: a token before any picture reads `nothing`, or `everything` (later pictures and padding
    too), but then its MLP is skipped.
    heads, kv_heads, head_dim, norm and mlp are those of the decoder where None. `memory_width` are
    the channels of the memory, those of the decoder where None.
    """

    kind: Literal["cross_attention"] = "cross_attention"
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    sees: Literal["latest", "run", "all"] = "latest"
    blind: Literal["nothing", "everything"] = "nothing"
    heads: int | None = Field(default=None, ge=1)
    kv_heads: int | None = Field(default=None, ge=1)
    head_dim: int | None = Field(default=None, ge=1)
    qk_norm: Literal["none", "rms"] = "none"
    norm: NormSpec | None = None
    mlp: MlpBlockSpec | None = None
    gate: Literal["scalar", "vector"] = "scalar"
    memory_width: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> CrossAttentionSpec:
        if list(self.layers) != sorted(set(self.layers)):
            raise SpecError("layers", f"{self.layers} repeats or goes back", "list each once, up")
        return self

    def attention(self, language: DecoderSpec) -> AttentionSpec:
        """Heads of the cross-attention. Raises SpecError where they do not group."""
        own = language.attention
        heads = self.heads or own.heads
        keys = self.kv_heads or (heads if self.heads else own.kv_heads)
        return AttentionSpec(
            heads=heads,
            kv_heads=keys,
            head_dim=self.head_dim or own.head_dim,
            qk_norm=self.qk_norm,
        )

    def width(self, language: DecoderSpec) -> int:
        """Channels of the memory."""
        return self.memory_width or language.width

    def kv_bytes(self, language: DecoderSpec, memory_tokens: int, bytes_per_value: int) -> int:
        """Bytes of keys and values of one conversation's memory, computed once."""
        a = self.attention(language)
        return 2 * a.kv_heads * a.head_dim * bytes_per_value * memory_tokens * len(self.layers)
