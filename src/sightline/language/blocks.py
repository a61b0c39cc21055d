"""Decoder blocks: how attention, feed-forward and norms stand to each other."""

# B batch  T tokens  D width

from __future__ import annotations

from typing import assert_never

from torch import Tensor, nn

from sightline.language.attention import SelfAttention
from sightline.language.context import BlockContext
from sightline.nn.linear import Linear
from sightline.nn.mlp import GatedMlp, PlainMlp
from sightline.nn.norm import build_norm
from sightline.spec.language import DecoderSpec, MlpBlockSpec


class SequentialBlock(nn.Module):
    """x + attention(norm x), then x + mlp(norm x) (Llama)."""

    def __init__(self, spec: DecoderSpec, layer: int) -> None:
        super().__init__()
        self.norm1 = build_norm(spec.norm, spec.width)
        self.norm2 = build_norm(spec.norm, spec.width)
        self.attn = SelfAttention(spec, layer)
        self.mlp = build_mlp(spec.mlp, spec.width)

    def forward(self, x_BTD: Tensor, ctx: BlockContext) -> Tensor:
        x_BTD = ctx.wanted(x_BTD) + self.attn(self.norm1(x_BTD), ctx)
        return x_BTD + self.mlp(self.norm2(x_BTD))

    def residual_writers(self) -> tuple[Linear, Linear]:
        """The matrices whose products are added to the residual stream."""
        return self.attn.out, self.mlp.down


class SandwichBlock(nn.Module):
    """x + norm(attention(norm x)), then x + norm(mlp(norm x)), four norms (Gemma 2)."""

    def __init__(self, spec: DecoderSpec, layer: int) -> None:
        super().__init__()
        self.norm1 = build_norm(spec.norm, spec.width)
        self.post_norm1 = build_norm(spec.norm, spec.width)
        self.norm2 = build_norm(spec.norm, spec.width)
        self.post_norm2 = build_norm(spec.norm, spec.width)
        self.attn = SelfAttention(spec, layer)
        self.mlp = build_mlp(spec.mlp, spec.width)

    def forward(self, x_BTD: Tensor, ctx: BlockContext) -> Tensor:
        x_BTD = ctx.wanted(x_BTD) + self.post_norm1(self.attn(self.norm1(x_BTD), ctx))
        return x_BTD + self.post_norm2(self.mlp(self.norm2(x_BTD)))


class ParallelBlock(nn.Module):
    """x + attention(norm x) + mlp(norm' x), where norm' is norm (Phi-2) or its own (Falcon-40B)."""

    def __init__(self, spec: DecoderSpec, layer: int) -> None:
        super().__init__()
        self.norm1 = build_norm(spec.norm, spec.width)
        own = spec.block == "parallel_two_norms"
        self.norm2 = build_norm(spec.norm, spec.width) if own else None
        self.attn = SelfAttention(spec, layer)
        self.mlp = build_mlp(spec.mlp, spec.width)

    def forward(self, x_BTD: Tensor, ctx: BlockContext) -> Tensor:
        normed = self.norm1(x_BTD)
        for_mlp = ctx.wanted(normed if self.norm2 is None else self.norm2(x_BTD))
        return ctx.wanted(x_BTD) + self.attn(normed, ctx) + self.mlp(for_mlp)

    def residual_writers(self) -> tuple[Linear, Linear]:
        """The matrices whose products are added to the residual stream."""
        return self.attn.out, self.mlp.down


def build_mlp(spec: MlpBlockSpec, width: int) -> GatedMlp | PlainMlp:
    """The feed-forward of one block."""
    kind = GatedMlp if spec.kind == "gated" else PlainMlp
    return kind(width, spec.width, spec.activation, bias=spec.bias)


def build_block(spec: DecoderSpec, layer: int) -> nn.Module:
    """The block of one layer as the spec orders it."""
    match spec.block:
        case "sequential":
            return SequentialBlock(spec, layer)
        case "sandwich":
            return SandwichBlock(spec, layer)
        case "parallel" | "parallel_two_norms":
            return ParallelBlock(spec, layer)
        case _:
            assert_never(spec.block)
