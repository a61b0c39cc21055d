"""Every parameter of a model, from its spec alone: the one inventory that all figures read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

from sightline.planner.connectors import connector_weights
from sightline.planner.memory import reading_weights
from sightline.planner.pieces import Weight
from sightline.planner.pieces import linear_weights as _linear
from sightline.planner.pieces import mlp_weights as _mlp
from sightline.planner.pieces import norm_weights as _norm
from sightline.planner.tiled import tiled_weights
from sightline.spec.fusion import (
    CrossAttentionSpec,
    DeepStackSpec,
    InterleaveSpec,
    VisualExpertSpec,
)
from sightline.spec.language import DecoderSpec, LearnedPositionsSpec
from sightline.spec.layers import LayerNormSpec
from sightline.spec.model import ModelSpec
from sightline.spec.train.parts import Part
from sightline.spec.vision import CnnSpec, ModuleSpec, TiledVitSpec, VisionSpec, VitSpec


def weights(spec: ModelSpec, part: Part) -> tuple[Weight, ...]:
    """The parameters of one part, named as the built model names them."""
    match part:
        case "vision":
            return tuple(vision_weights(spec.vision))
        case "connector":
            width = spec.visual_width
            names = spec.resolution.learned
            learned = (Weight(f"learned.{name}", (width,), "vector") for name in names)
            return (*connector_weights(spec.connector, spec.vision.out_width, width), *learned)
        case "fusion":
            return tuple(_fusion(spec))
        case "language":
            return tuple(decoder_weights(spec.language))
        case _:
            assert_never(part)


def text_weights(spec: ModelSpec) -> tuple[Weight, ...]:
    """The language model's parameters and those that the fusion adds to it."""
    return (*weights(spec, "language"), *weights(spec, "fusion"))


def _fusion(spec: ModelSpec) -> Iterator[Weight]:
    match spec.fusion:
        case InterleaveSpec() | DeepStackSpec():  # visual tokens stand in the sequence
            return
        case VisualExpertSpec():
            yield from expert_weights(spec.language)
        case CrossAttentionSpec() as fusion:
            yield from reading_weights(fusion, spec.language)
        case _:
            assert_never(spec.fusion)


def vision_weights(spec: VisionSpec, blocks: int | None = None) -> Iterator[Weight]:
    """The encoder's parameters; of its first `blocks` blocks if given."""
    match spec:
        case VitSpec():
            yield from _vit(spec, spec.depth if blocks is None else blocks)
        case TiledVitSpec():
            yield from tiled_weights(spec)
        case ModuleSpec() | CnnSpec():
            yield Weight("vision", (spec.parameters,), "module")
        case _:
            assert_never(spec)


def _vit(spec: VitSpec, blocks: int) -> Iterator[Weight]:
    width, norm = spec.width, spec.norm_spec
    yield from _patch_stem(spec) if spec.stem == "patch" else _conv_stem(spec)
    if spec.class_token != "absent":
        yield Weight("vision.class_token", (width,), "vector")
    if spec.registers:
        yield Weight("vision.registers", (spec.registers, width), "vector")
    if spec.position_rows:
        yield Weight("vision.positions", (spec.position_rows, width), "vector")
    if spec.pre_norm:
        yield from _norm("vision.pre_norm", norm, width)
    yield from _vit_blocks(spec, blocks)
    if spec.post_norm != "absent":
        yield from _norm("vision.post_norm", norm, width)


def _patch_stem(spec: VitSpec) -> Iterator[Weight]:
    shape = (spec.width, 3 * spec.frames_per_view, spec.patch, spec.patch)
    yield Weight("vision.patch_embed.weight", shape, "patch")
    if spec.patch_bias:
        yield Weight("vision.patch_embed.bias", (spec.width,), "vector")


def _conv_stem(spec: VitSpec) -> Iterator[Weight]:
    for i, (wide, out) in enumerate(pairwise((3 * spec.frames_per_view, *spec.stem_widths))):
        halving = f"vision.patch_embed.halvings.{i}"
        yield Weight(f"{halving}.weight", (out, wide, 3, 3), "conv")
        yield from _norm(f"{halving}.norm", LayerNormSpec(), out)
    yield Weight("vision.patch_embed.project.weight", (spec.width, spec.width), "patch")
    if spec.patch_bias:
        yield Weight("vision.patch_embed.project.bias", (spec.width,), "vector")


def stem_flops(spec: VitSpec) -> int:
    """The halving convolutions over one patch: each works on a quarter of the one before."""
    if spec.stem == "patch":
        return 0
    widths = (3 * spec.frames_per_view, *spec.stem_widths)
    kernels = [9 * wide * out for wide, out in pairwise(widths)]
    return sum(2 * 4**left * kernel for left, kernel in enumerate(reversed(kernels)))


def _vit_blocks(spec: VitSpec, blocks: int) -> Iterator[Weight]:
    block, width, norm = "vision.blocks.{i}", spec.width, spec.norm_spec
    yield from _norm(f"{block}.norm1", norm, width, blocks)
    yield from _norm(f"{block}.norm2", norm, width, blocks)
    for name in ("q", "k", "v"):
        yield from _linear(f"{block}.attn.{name}", width, width, spec.qkv_bias, blocks)
    yield from _linear(f"{block}.attn.out", width, width, spec.out_bias, blocks)
    if spec.qk_norm == "rms":
        for name in ("q_norm", "k_norm"):
            yield Weight(f"{block}.attn.{name}.weight", (width,), "vector", blocks)
    gated, bias = spec.mlp != "plain", spec.mlp_bias
    yield from _mlp(f"{block}.mlp", width, spec.mlp_width, blocks, gated=gated, bias=bias)
    if spec.layer_scale:
        yield Weight(f"{block}.scale1", (width,), "vector", blocks)
        yield Weight(f"{block}.scale2", (width,), "vector", blocks)


def decoder_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """The language model's parameters; a tied head is counted once, as the embedding."""
    rows = spec.vocab + spec.unspoken
    yield Weight("language.embed.weight", (rows, spec.width), "embedding")
    if isinstance(spec.positions, LearnedPositionsSpec):
        places = spec.context + spec.positions.offset
        yield Weight("language.positions.weight", (places, spec.width), "vector")
    yield from decoder_block_weights(spec)
    yield from _norm("language.norm", spec.norm, spec.width)
    if not spec.tied_head:
        yield Weight("language.head.weight", (spec.vocab, spec.width), "head")
    if spec.head_bias:
        yield Weight("language.head.bias", (spec.vocab,), "vector")


def decoder_block_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """The parameters of all blocks."""
    block, mlp = "language.blocks.{i}", spec.mlp
    yield from _norm(f"{block}.norm1", spec.norm, spec.width, spec.depth)
    if spec.block != "parallel":
        yield from _norm(f"{block}.norm2", spec.norm, spec.width, spec.depth)
    if spec.block == "sandwich":
        for post in ("post_norm1", "post_norm2"):
            yield from _norm(f"{block}.{post}", spec.norm, spec.width, spec.depth)
    yield from _attention(f"{block}.attn", spec)
    yield from _mlp(
        f"{block}.mlp",
        spec.width,
        mlp.width,
        spec.depth,
        gated=mlp.kind == "gated",
        bias=mlp.bias,
    )


def expert_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """The second version of every matrix of the blocks, for visual rows."""
    expert, mlp = "language.blocks.{i}.expert", spec.mlp
    yield from _attention(f"{expert}.attn", spec)
    gated = mlp.kind == "gated"
    yield from _mlp(f"{expert}.mlp", spec.width, mlp.width, spec.depth, gated=gated, bias=mlp.bias)


def _attention(name: str, spec: DecoderSpec) -> Iterator[Weight]:
    a, depth = spec.attention, spec.depth
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    for part, out in (("q", queries), ("k", keys), ("v", keys)):
        yield from _linear(f"{name}.{part}", spec.width, out, a.qkv_bias, depth)
    yield from _linear(f"{name}.out", queries, spec.width, a.out_bias, depth)
    if a.qk_norm == "rms":
        for part in ("q_norm", "k_norm"):
            yield Weight(f"{name}.{part}.weight", (a.head_dim,), "vector", depth)


@dataclass(frozen=True, slots=True)
class CrossAttention:
    """Parameters of one cross-attention layer, without biases, norms and its MLP."""

    q: int
    k: int
    v: int
    out: int

    @property
    def total(self) -> int:
        return self.q + self.k + self.v + self.out


def cross_attention(
    width: int, memory_width: int, heads: int, head_dim: int, kv_heads: int | None = None
) -> CrossAttention:
    """Text of `width` reads visual memory of `memory_width` (Flamingo, Mllama).

    Flamingo's 8192, 1024, 64 and 128 give 67.1 + 8.4 + 8.4 + 67.1 = 151 M: keys and values are
    small because they read the narrow visual side.
    """
    inner, keys = heads * head_dim, (kv_heads or heads) * head_dim
    return CrossAttention(width * inner, memory_width * keys, memory_width * keys, inner * width)
