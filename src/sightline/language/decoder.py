"""One causal decoder with the switches of the published ones."""

# B batch  T tokens  D width  H query heads  G key/value heads  K head dim  A position axes

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.language.context import BlockContext
from sightline.nn.attention import attend
from sightline.nn.kv_cache import KvCache
from sightline.nn.linear import Joint, Linear, Matrix
from sightline.nn.masks import Mask
from sightline.nn.mlp import GatedMlp, PlainMlp
from sightline.nn.norm import RmsNorm, build_norm
from sightline.nn.rope import RotaryTable
from sightline.spec.language import DecoderSpec, MlpBlockSpec
from sightline.spec.layers import RmsNormSpec


class SelfAttention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, spec: DecoderSpec, layer: int) -> None:
        super().__init__()
        a = spec.attention
        self.head_dim, self.scale, self.window = (
            a.head_dim,
            spec.attention_scale,
            a.window_of(layer),
        )
        self.q = Linear(spec.width, a.heads * a.head_dim, bias=a.qkv_bias)
        self.k = Linear(spec.width, a.kv_heads * a.head_dim, bias=a.qkv_bias)
        self.v = Linear(spec.width, a.kv_heads * a.head_dim, bias=a.qkv_bias)
        self.out = Linear(a.heads * a.head_dim, spec.width, bias=a.out_bias)
        self.qkv = Joint(self.q, self.k, self.v)
        normed = a.qk_norm == "rms"
        norm = RmsNormSpec(eps=spec.norm.eps)
        self.q_norm = RmsNorm(a.head_dim, norm) if normed else None
        self.k_norm = RmsNorm(a.head_dim, norm) if normed else None

    def forward(self, x_BTD: Tensor, ctx: BlockContext) -> Tensor:
        q, k, v = (x.unflatten(-1, (-1, self.head_dim)) for x in self.qkv(x_BTD))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = ctx.wanted(ctx.rotary.turn(q)), ctx.rotary.turn(k)
        if ctx.kv is None:
            k_BGSK, v_BGSK = k.transpose(1, 2), v.transpose(1, 2)
        else:
            k_BGSK, v_BGSK = ctx.kv.append(k, v)
        return self.out(attend(q, k_BGSK, v_BGSK, ctx.mask, self.scale))


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
    return (SequentialBlock if spec.block == "sequential" else ParallelBlock)(spec, layer)


class Decoder(nn.Module):
    """Embedding, blocks, final norm and head."""

    def __init__(self, spec: DecoderSpec, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.spec = spec
        self.embed = Embedding(spec.vocab, spec.width)
        self.blocks = nn.ModuleList(blocks)
        self.norm = build_norm(spec.norm, spec.width)
        self.head = Head(spec, self.embed)
        self.rotary = RotaryTable(spec.positions, spec.rotated_dim)
        self.windows = [spec.attention.window_of(layer) for layer in range(len(blocks))]

    def embed_tokens(self, token_ids_BT: Tensor) -> Tensor:
        """int64[B, T] -> [B, T, D], scaled where the family scales."""
        x_BTD = F.embedding(token_ids_BT, self.embed.weight)
        scale = self.spec.embedding_scale
        return x_BTD if scale is None else x_BTD * torch.tensor(scale, dtype=x_BTD.dtype)

    def forward(
        self,
        x_BTD: Tensor,
        positions_ABT: Tensor,
        mask: Mask,
        *,
        cache: KvCache | None = None,
        visual_BT: Tensor | None = None,
        memory_BMD: Tensor | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """Embeddings [B, T, D] -> normed hidden states [B, T, D]; the cache grows by T columns.

        `last_only` returns the last row [B, 1, D]: the last block then computes keys and values
        of all rows, and everything else of one.
        """
        start = 0 if cache is None else cache.length
        stop = start + x_BTD.shape[1]
        rotary = self.rotary.at(positions_ABT, self._rows(positions_ABT, stop), x_BTD.dtype)
        bound = {w: mask.bind(start, stop, w, x_BTD.device) for w in set(self.windows)}
        for i, (block, window) in enumerate(zip(self.blocks, self.windows, strict=True)):
            kv = None if cache is None else cache.layer(i)
            ctx = BlockContext(rotary, bound[window], kv, memory_BMD, visual_BT)
            if last_only and i == len(self.blocks) - 1:
                ctx = ctx.for_last_row(mask.bind(stop - 1, stop, window, x_BTD.device))
            x_BTD = block(x_BTD, ctx)
        if cache is not None:
            cache.advance(stop - start)
        normed: Tensor = self.norm(x_BTD)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Normed hidden states [..., D] -> float32 logits [..., vocab]."""
        return self.head(hidden).float()

    def new_cache(self, batch: int, capacity: int) -> KvCache:
        """An empty cache in this model's dtype and device."""
        a, weight = self.spec.attention, self.embed.weight
        return KvCache(
            depth=len(self.blocks),
            batch=batch,
            capacity=capacity,
            kv_heads=a.kv_heads,
            head_dim=a.head_dim,
            dtype=weight.dtype,
            device=weight.device,
        )

    @staticmethod
    def _rows(positions_ABT: Tensor, stop: int) -> int:
        """Rows of the rotation table: positions never exceed columns with one axis."""
        return stop if positions_ABT.shape[0] == 1 else int(positions_ABT.max()) + 1


class Embedding(nn.Module):
    """One row per token id."""

    def __init__(self, vocab: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab, width))


class Head(Matrix):
    """Hidden states to logits, with its own matrix or the embedding's."""

    def __init__(self, spec: DecoderSpec, embed: Embedding) -> None:
        super().__init__()
        self._embed = (embed,)  # in a tuple: no module of the head's own, but the decoder's
        own = None if spec.tied_head else torch.empty(spec.vocab, spec.width)
        self.weight = None if own is None else nn.Parameter(own)
        self.bias = nn.Parameter(torch.empty(spec.vocab)) if spec.head_bias else None

    @property
    def values(self) -> nn.Parameter:
        return self._embed[0].weight if self.weight is None else self.weight
