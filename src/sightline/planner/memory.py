"""Blocks that read a memory: what they hold, and what they compute."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.planner.pieces import Weight, matrices, mlp_weights, norm_weights
from sightline.spec.fusion import CrossAttentionSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.model import ModelSpec


def reading_weights(spec: CrossAttentionSpec, language: DecoderSpec) -> Iterator[Weight]:
    """The parameters of all blocks that read, each under the layer that it stands before."""
    for layer in spec.layers:
        block = f"language.blocks.{layer}.cross"
        yield from _attention(spec, language, f"{block}.attn")
        yield from _rest(spec, language, block)


def memory_flops(spec: ModelSpec, tokens: int, memory_tokens: int, *, cached: bool = False) -> int:
    """What reading adds for `tokens` rows to the matrices of all blocks: scores and sums, and,
    unless they are cached, keys and values; without a memory, less what then stands still."""
    fusion, language = spec.fusion, spec.language
    if not isinstance(fusion, CrossAttentionSpec):
        return 0
    found = tuple(reading_weights(fusion, language))
    if memory_tokens == 0:
        return -2 * tokens * _idle(fusion, language)
    a = fusion.attention(language)
    pairs = tokens * memory_tokens * len(fusion.layers)
    made = 0 if cached else 2 * memory_tokens * matrices(found, "memory")
    return made + 4 * a.heads * a.head_dim * pairs


def _attention(spec: CrossAttentionSpec, language: DecoderSpec, name: str) -> Iterator[Weight]:
    a, wide = spec.attention(language), spec.width(language)
    inner, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    yield Weight(f"{name}.q.weight", (inner, language.width), "linear")
    for part in ("k", "v"):
        yield Weight(f"{name}.{part}.weight", (keys, wide), "memory")
    yield Weight(f"{name}.out.weight", (language.width, inner), "linear")
    if a.qk_norm == "rms":
        for part in ("q_norm", "k_norm"):
            yield Weight(f"{name}.{part}.weight", (a.head_dim,), "vector")


def _rest(spec: CrossAttentionSpec, language: DecoderSpec, block: str) -> Iterator[Weight]:
    norm, mlp, width = spec.norm or language.norm, spec.mlp or language.mlp, language.width
    for part in ("norm1", "norm2"):
        yield from norm_weights(f"{block}.{part}", norm, width)
    gated = mlp.kind == "gated"
    yield from mlp_weights(f"{block}.mlp", width, mlp.width, 1, gated=gated, bias=mlp.bias)
    for gate in ("attn_gate", "mlp_gate"):
        yield Weight(f"{block}.{gate}", (width if spec.gate == "vector" else 1,), "vector")


def _idle(spec: CrossAttentionSpec, language: DecoderSpec) -> int:
    """Matrices of rows that no row passes where there is no memory: all, or those that read."""
    if spec.blind == "everything":
        return matrices(reading_weights(spec, language))
    return len(spec.layers) * matrices(_attention(spec, language, ""))
