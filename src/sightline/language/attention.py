"""Self-attention of a decoder block."""

# B batch  T tokens  S keys  D width  H query heads  G key/value heads  K head dim

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.language.context import BlockContext
from sightline.nn.attention import attend
from sightline.nn.linear import Joint, Linear
from sightline.nn.norm import RmsNorm
from sightline.spec.language import DecoderSpec
from sightline.spec.layers import RmsNormSpec


class SelfAttention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, spec: DecoderSpec, layer: int) -> None:
        super().__init__()
        a = spec.attention
        self.heads, self.kv_heads, self.head_dim = a.heads, a.kv_heads, a.head_dim
        self.window = a.window_of(layer)
        self.scale, self.soft_cap = spec.attention_scale, a.soft_cap
        self.q = Linear(spec.width, a.heads * a.head_dim, bias=a.qkv_bias)
        self.k = Linear(spec.width, a.kv_heads * a.head_dim, bias=a.qkv_bias)
        self.v = Linear(spec.width, a.kv_heads * a.head_dim, bias=a.qkv_bias)
        self.out = Linear(a.heads * a.head_dim, spec.width, bias=a.out_bias)
        self.qkv = Joint(self.q, self.k, self.v)
        normed = a.qk_norm == "rms"
        own = spec.norm
        norm = own if isinstance(own, RmsNormSpec) else RmsNormSpec(eps=own.eps)
        self.q_norm = RmsNorm(a.head_dim, norm) if normed else None
        self.k_norm = RmsNorm(a.head_dim, norm) if normed else None

    def forward(self, x_BTD: Tensor, ctx: BlockContext) -> Tensor:
        heads = self.qkv.whole(x_BTD).unflatten(-1, (-1, self.head_dim))
        qk, v = heads.split((self.heads + self.kv_heads, self.kv_heads), 2)
        qk = self._normed(qk) if ctx.rotary is None else ctx.rotary.turn(self._normed(qk))
        q, k = qk.split((self.heads, self.kv_heads), 2)
        q = ctx.wanted(q)
        if ctx.kv is None:
            k_BGSK, v_BGSK = k.transpose(1, 2), v.transpose(1, 2)
            if ctx.rotary is not None:  # a copy, so that training does not keep the unturned q, k
                v_BGSK = v_BGSK.contiguous()
        else:
            k_BGSK, v_BGSK = ctx.kv.append(k, v)
        return self.out(attend(q, k_BGSK, v_BGSK, ctx.mask, self.scale, self.soft_cap))

    def _normed(self, qk_BTHK: Tensor) -> Tensor:
        """The heads of queries, and after them those of keys, each through its norm if it has."""
        if self.q_norm is None or self.k_norm is None:
            return qk_BTHK
        q_BTHK, k_BTGK = qk_BTHK.split((self.heads, self.kv_heads), 2)
        return torch.cat((self.q_norm(q_BTHK), self.k_norm(k_BTGK)), 2)
