"""One causal decoder with the switches of the published ones."""

# B batch  T tokens  D width  H query heads  G key/value heads  K head dim  A position axes

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.language.context import BlockContext
from sightline.language.places import LearnedPositions
from sightline.nn.kv_cache import KvCache
from sightline.nn.linear import Matrix
from sightline.nn.masks import Mask
from sightline.nn.memory import Memory
from sightline.nn.norm import build_norm
from sightline.nn.rope import RotaryTable
from sightline.spec.language import (
    DecoderSpec,
    LearnedPositionsSpec,
    RopeSpec,
)


def build_positions(spec: DecoderSpec) -> tuple[RotaryTable | None, LearnedPositions | None]:
    """What turns queries and keys, and what is added to embeddings."""
    match spec.positions:
        case RopeSpec() as rope:
            return RotaryTable(rope, spec.rotated_dim), None
        case LearnedPositionsSpec(offset=offset):
            return None, LearnedPositions(spec.context, offset, spec.width)
        case _:
            assert_never(spec.positions)


class Decoder(nn.Module):
    """Embedding, blocks, final norm and head."""

    def __init__(self, spec: DecoderSpec, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.spec = spec
        self.embed = Embedding(spec.vocab + spec.unspoken, spec.width)
        self.blocks = nn.ModuleList(blocks)
        self.norm = build_norm(spec.norm, spec.width)
        self.head = Head(spec, self.embed)
        self.rotary, self.positions = build_positions(spec)
        local = spec.windowed_positions
        self.windowed_rotary = None if local is None else RotaryTable(local, spec.rotated_dim)
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
        memory: Memory | None = None,
        deep_NE: Tensor | None = None,
        last_only: bool = False,
        idle: bool = False,
    ) -> Tensor:
        """Embeddings [B, T, D] -> normed hidden states [B, T, D]; the cache grows by T columns.

        Passes after the first read the `memory` of the first, whose keys and values are cached.
        `last_only` returns the last row [B, 1, D]: the last block then computes keys and values
        of all rows, and everything else of one. `idle`: see `BlockContext`.
        """
        start = 0 if cache is None else cache.length
        memory = cache.reads if cache is not None and memory is None else memory
        stop = start + x_BTD.shape[1]
        rotary = windowed = None
        if self.rotary is not None:
            rows = self._rows(positions_ABT, stop)
            rotary = windowed = self.rotary.at(positions_ABT, rows, x_BTD.dtype)
            if self.windowed_rotary is not None:
                windowed = self.windowed_rotary.at(positions_ABT, rows, x_BTD.dtype)
        if self.positions is not None:
            x_BTD = x_BTD + self.positions(positions_ABT[0])
        bound = {w: mask.bind(start, stop, w, x_BTD.device) for w in set(self.windows)}
        for i, (block, window) in enumerate(zip(self.blocks, self.windows, strict=True)):
            kv = None if cache is None else cache.layer(i)
            turns = rotary if window is None else windowed
            ctx = BlockContext(turns, bound[window], kv, memory, visual_BT, deep_NE, mask.lengths,
                               idle=idle)  # fmt: skip
            if last_only and i == len(self.blocks) - 1:
                ctx = ctx.for_last_row(mask.bind(stop - 1, stop, window, x_BTD.device))
            x_BTD = block(x_BTD, ctx)
        if cache is not None:
            cache.advance(stop - start)
            cache.reads = None if memory is None else memory.afterwards()
        normed: Tensor = self.norm(x_BTD)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Normed hidden states [..., D] -> float32 logits [..., vocab]."""
        logits, cap = self.head(hidden).float(), self.spec.logit_soft_cap
        return logits if cap is None else cap * (logits / cap).tanh()

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
