"""Gated blocks that read visual memory (Flamingo, Alayrac et al. 2022; Llama 3.2 Vision)."""

# B batch  T tokens  D width  M memory rows  C memory width  H heads  G key/value heads  K head dim

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from sightline.nn.attention import attend
from sightline.nn.kv_cache import LayerKv
from sightline.nn.linear import Joint, Linear
from sightline.nn.memory import Memory
from sightline.nn.mlp import GatedMlp, PlainMlp
from sightline.nn.norm import RmsNorm, build_norm
from sightline.spec.fusion import CrossAttentionSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.layers import RmsNormSpec


class Reading(Protocol):
    """What of a pass these blocks use."""

    @property
    def memory(self) -> Memory | None: ...
    @property
    def kv(self) -> LayerKv | None: ...


class MemoryAttention(nn.Module):
    """Queries from text, keys and values from memory, without positions."""

    def __init__(self, spec: CrossAttentionSpec, language: DecoderSpec) -> None:
        super().__init__()
        a, memory = spec.attention(language), spec.width(language)
        self.head_dim, self.scale = a.head_dim, a.head_dim**-0.5
        self.q = Linear(language.width, a.heads * a.head_dim, bias=False)
        self.k = Linear(memory, a.kv_heads * a.head_dim, bias=False)
        self.v = Linear(memory, a.kv_heads * a.head_dim, bias=False)
        self.out = Linear(a.heads * a.head_dim, language.width, bias=False)
        self.kv = Joint(self.k, self.v)
        norm = RmsNormSpec(eps=(spec.norm or language.norm).eps)
        self.q_norm = RmsNorm(a.head_dim, norm) if spec.qk_norm == "rms" else None
        self.k_norm = RmsNorm(a.head_dim, norm) if spec.qk_norm == "rms" else None

    def forward(self, x_BTD: Tensor, memory: Memory, kv: LayerKv | None) -> Tensor:
        """What each token reads of `memory`, [B, T, D]; keys and values are made once."""
        q_BTHK = self.q(x_BTD).unflatten(-1, (-1, self.head_dim))
        if self.q_norm is not None:
            q_BTHK = self.q_norm(q_BTHK)
        if memory.rows_BMD is None:
            assert kv is not None, "without rows there must be a cache"
            k_BGMK, v_BGMK = kv.recall()
        else:
            k_BGMK, v_BGMK = self._keys_values(memory.rows_BMD)
            if kv is not None:
                kv.memorise(k_BGMK, v_BGMK)
        return self.out(attend(q_BTHK, k_BGMK, v_BGMK, memory.mask, self.scale))

    def _keys_values(self, rows_BMC: Tensor) -> tuple[Tensor, Tensor]:
        k, v = (x.unflatten(-1, (-1, self.head_dim)) for x in self.kv(rows_BMC))
        if self.k_norm is not None:
            k = self.k_norm(k)
        return k.transpose(1, 2), v.transpose(1, 2)


class CrossAttentionBlock(nn.Module):
    """x + tanh(gate) · attention(norm x, memory), then x + tanh(gate') · mlp(norm x)."""

    def __init__(self, spec: CrossAttentionSpec, language: DecoderSpec) -> None:
        super().__init__()
        width, norm, mlp = language.width, spec.norm or language.norm, spec.mlp or language.mlp
        self.norm1, self.norm2 = build_norm(norm, width), build_norm(norm, width)
        self.attn = MemoryAttention(spec, language)
        kind = GatedMlp if mlp.kind == "gated" else PlainMlp
        self.mlp = kind(width, mlp.width, mlp.activation, bias=mlp.bias)
        size = width if spec.gate == "vector" else 1
        self.attn_gate = nn.Parameter(torch.empty(size))
        self.mlp_gate = nn.Parameter(torch.empty(size))

    def forward(self, x_BTD: Tensor, ctx: Reading) -> Tensor:
        if (memory := ctx.memory) is None:
            return x_BTD
        if memory.tokens:
            read_BTD = self.attn(self.norm1(x_BTD), memory, ctx.kv)
            x_BTD = x_BTD + self.attn_gate.tanh() * read_BTD.where(memory.reads_BT1, 0)
        thought_BTD = self.mlp(self.norm2(x_BTD))
        if memory.thinks_BT1 is not None:
            thought_BTD = thought_BTD.where(memory.thinks_BT1, 0)
        return x_BTD + self.mlp_gate.tanh() * thought_BTD

    def residual_writers(self) -> tuple[Linear, Linear]:
        """The matrices whose products are added to the residual stream."""
        return self.attn.out, self.mlp.down


class ReadsFirst(nn.Module):
    """A block of the decoder with a cross-attention block before it.

    The block's parts are this module's own, under their old names: a text model's weights fit
    whether or not pictures are read before some of its blocks.
    """

    def __init__(self, cross: CrossAttentionBlock, block: nn.Module) -> None:
        super().__init__()
        assert not list(block.parameters(recurse=False)), "a block is made of modules"
        for name, part in block.named_children():
            self.add_module(name, part)
        self.cross = cross
        self._block = (block,)  # in a tuple: its parts are registered above

    def forward(self, x_BTD: Tensor, ctx: Reading) -> Tensor:
        whole: Tensor = self._block[0](self.cross(x_BTD, ctx), ctx)
        return whole

    def residual_writers(self) -> tuple[Linear, ...]:
        """The matrices whose products are added to the residual stream."""
        (block,) = self._block
        writers: tuple[Linear, ...] = getattr(block, "residual_writers", tuple)()
        return (*writers, *self.cross.residual_writers())
