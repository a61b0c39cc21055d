"""Every parameter of a model, from its spec alone: the one inventory that all figures read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, assert_never

from sightline.spec.connector import ConnectorSpec, LinearSpec, MlpSpec
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.layers import LayerNormSpec, NormSpec, RmsNormSpec
from sightline.spec.model import ModelSpec
from sightline.spec.train import Part
from sightline.spec.vision import ModuleSpec, VisionSpec, VitSpec

Role = Literal["linear", "patch", "embedding", "head", "vector", "module", "conv"]


@dataclass(frozen=True, slots=True)
class Weight:
    """`copies` tensors of one shape; `{i}` in the name runs over the copies.

    role: `linear` multiplies every row and is what weight formats and adapters apply to; `patch`
    multiplies every patch, `head` the rows whose logits are wanted; an `embedding` is looked up;
    a `vector` (norm, bias, scale, token, position) costs next to nothing; a `module` is the user's
    own, of which only the size is known.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    copies: int = 1

    @property
    def size(self) -> int:
        """Numbers in one copy."""
        return math.prod(self.shape)

    @property
    def count(self) -> int:
        """Numbers in all copies."""
        return self.size * self.copies

    def names(self) -> Iterator[str]:
        """The name of each copy."""
        return (self.name.replace("{i}", str(i)) for i in range(self.copies))


def weights(spec: ModelSpec, part: Part) -> tuple[Weight, ...]:
    """The parameters of one part, named as the built model names them."""
    match part:
        case "vision":
            return tuple(vision_weights(spec.vision))
        case "connector":
            width = spec.language.width
            return tuple(connector_weights(spec.connector, spec.vision.out_width, width))
        case "language":
            return tuple(_language(spec))
        case _:
            assert_never(part)


def _language(spec: ModelSpec) -> Iterator[Weight]:
    match spec.fusion:
        case InterleaveSpec():  # adds nothing: visual tokens stand in the sequence
            yield from decoder_weights(spec.language)
        case _:
            assert_never(spec.fusion)


def count(found: Iterable[Weight]) -> int:
    """Numbers in all of them."""
    return sum(weight.count for weight in found)


def matrices(found: Iterable[Weight], role: Role = "linear") -> int:
    """Numbers in those of one role: half the FLOPs of a row that passes all of them."""
    return sum(weight.count for weight in found if weight.role == role)


def vision_weights(spec: VisionSpec, blocks: int | None = None) -> Iterator[Weight]:
    """The encoder's parameters; of its first `blocks` blocks if given."""
    match spec:
        case VitSpec():
            yield from _vit(spec, spec.depth if blocks is None else blocks)
        case ModuleSpec():
            yield Weight("vision", (spec.parameters,), "module")
        case _:
            assert_never(spec)


def _vit(spec: VitSpec, blocks: int) -> Iterator[Weight]:
    width, norm = spec.width, LayerNormSpec()
    yield from _patch_stem(spec) if spec.stem == "patch" else _conv_stem(spec)
    present = spec.class_token != "absent"
    if present:
        yield Weight("vision.class_token", (width,), "vector")
    if spec.registers:
        yield Weight("vision.registers", (spec.registers, width), "vector")
    yield Weight("vision.positions", (present + spec.position_grid.area, width), "vector")
    if spec.pre_norm:
        yield from _norm("vision.pre_norm", norm, width)
    yield from _vit_blocks(spec, blocks)
    if spec.post_norm != "absent":
        yield from _norm("vision.post_norm", norm, width)


def _patch_stem(spec: VitSpec) -> Iterator[Weight]:
    shape = (spec.width, 3, spec.patch, spec.patch)
    yield Weight("vision.patch_embed.weight", shape, "patch")
    if spec.patch_bias:
        yield Weight("vision.patch_embed.bias", (spec.width,), "vector")


def _conv_stem(spec: VitSpec) -> Iterator[Weight]:
    for i, (wide, out) in enumerate(pairwise((3, *spec.stem_widths))):
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
    kernels = [9 * wide * out for wide, out in pairwise((3, *spec.stem_widths))]
    return sum(2 * 4**left * kernel for left, kernel in enumerate(reversed(kernels)))


def _vit_blocks(spec: VitSpec, blocks: int) -> Iterator[Weight]:
    block, width, norm = "vision.blocks.{i}", spec.width, LayerNormSpec()
    yield from _norm(f"{block}.norm1", norm, width, blocks)
    yield from _norm(f"{block}.norm2", norm, width, blocks)
    for name in ("q", "k", "v"):
        yield from _linear(f"{block}.attn.{name}", width, width, spec.qkv_bias, blocks)
    yield from _linear(f"{block}.attn.out", width, width, True, blocks)
    gated = spec.mlp == "swiglu"
    yield from _mlp(f"{block}.mlp", width, spec.mlp_width, blocks, gated=gated, bias=True)
    if spec.layer_scale:
        yield Weight(f"{block}.scale1", (width,), "vector", blocks)
        yield Weight(f"{block}.scale2", (width,), "vector", blocks)


def connector_weights(spec: ConnectorSpec, inputs: int, outputs: int) -> Iterator[Weight]:
    """The parameters of a connector from `inputs` to `outputs` channels."""
    match spec:
        case LinearSpec():
            widths = [inputs, outputs]
        case MlpSpec():
            widths = [inputs, *[spec.hidden or outputs] * (spec.depth - 1), outputs]
        case _:
            assert_never(spec)
    for i, (wide, out) in enumerate(pairwise(widths)):
        yield from _linear(f"connector.layers.{i}", wide, out, spec.bias)


def decoder_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """The language model's parameters; a tied head is counted once, as the embedding."""
    yield Weight("language.embed.weight", (spec.vocab, spec.width), "embedding")
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
    yield from _attention(f"{block}.attn", spec)
    yield from _mlp(
        f"{block}.mlp",
        spec.width,
        mlp.width,
        spec.depth,
        gated=mlp.kind == "gated",
        bias=mlp.bias,
    )


def _attention(name: str, spec: DecoderSpec) -> Iterator[Weight]:
    a, depth = spec.attention, spec.depth
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    for part, out in (("q", queries), ("k", keys), ("v", keys)):
        yield from _linear(f"{name}.{part}", spec.width, out, a.qkv_bias, depth)
    yield from _linear(f"{name}.out", queries, spec.width, a.out_bias, depth)
    if a.qk_norm == "rms":
        for part in ("q_norm", "k_norm"):
            yield Weight(f"{name}.{part}.weight", (a.head_dim,), "vector", depth)


def _mlp(
    name: str, width: int, inner: int, copies: int, *, gated: bool, bias: bool
) -> Iterator[Weight]:
    for part in ("gate", "up") if gated else ("up",):
        yield from _linear(f"{name}.{part}", width, inner, bias, copies)
    yield from _linear(f"{name}.down", inner, width, bias, copies)


def _linear(name: str, inputs: int, outputs: int, bias: bool, copies: int = 1) -> Iterator[Weight]:
    yield Weight(f"{name}.weight", (outputs, inputs), "linear", copies)
    if bias:
        yield Weight(f"{name}.bias", (outputs,), "vector", copies)


def _norm(name: str, spec: NormSpec, width: int, copies: int = 1) -> Iterator[Weight]:
    yield Weight(f"{name}.weight", (width,), "vector", copies)
    match spec:
        case RmsNormSpec():
            pass
        case LayerNormSpec():
            yield Weight(f"{name}.bias", (width,), "vector", copies)
        case _:
            assert_never(spec)


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
