"""Weights of their own for visual rows (CogVLM, Wang et al. 2023)."""

# B batch  T tokens  D width  R rows  K head dim

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.nn.attention import attend
from sightline.nn.kv_cache import LayerKv
from sightline.nn.linear import Joint, Linear
from sightline.nn.masks import BoundMask
from sightline.nn.mlp import GatedMlp, PlainMlp
from sightline.nn.norm import build_norm
from sightline.nn.rope import Rotary
from sightline.spec.language import DecoderSpec


class Passing(Protocol):
    """What of a pass these blocks use."""

    @property
    def rotary(self) -> Rotary | None: ...
    @property
    def mask(self) -> BoundMask: ...
    @property
    def kv(self) -> LayerKv | None: ...
    @property
    def visual_BT(self) -> Tensor | None: ...
    @property
    def lengths(self) -> tuple[int, ...] | None: ...
    @property
    def idle(self) -> bool: ...
    def wanted(self, x: Tensor, /) -> Tensor: ...


class VisualExpertBlock(nn.Module):
    """x + attention(norm x), then x + mlp(norm x), each matrix in two versions.

    The version of text has the names of a sequential block, so a text model's weights fit; that of
    visual rows is `expert`.
    """

    def __init__(self, spec: DecoderSpec, layer: int) -> None:
        super().__init__()
        self.scale, self.window = spec.attention_scale, spec.attention.window_of(layer)
        self.head_dim = spec.attention.head_dim
        self.norm1 = build_norm(spec.norm, spec.width)
        self.norm2 = build_norm(spec.norm, spec.width)
        self.attn, self.mlp = Projections(spec), _mlp(spec)
        self.expert = Expert(spec)

    def forward(self, x_BTD: Tensor, ctx: Passing) -> Tensor:
        rows_BT = None if ctx.visual_BT is None else expert_rows(ctx.visual_BT, ctx.lengths)
        left_BT = None if rows_BT is None else ctx.wanted(rows_BT)
        expert = self.expert
        idle = ctx.idle
        qkv = routed(self.norm1(x_BTD), rows_BT, self.attn.project, expert.attn.project, idle)
        q, k, v = (x.unflatten(-1, (-1, self.head_dim)) for x in qkv.split(self.attn.sizes, -1))
        if ctx.rotary is not None:
            q, k = ctx.rotary.turn(q), ctx.rotary.turn(k)
        if ctx.kv is None:
            k_BGSK, v_BGSK = k.transpose(1, 2), v.transpose(1, 2)
        else:
            k_BGSK, v_BGSK = ctx.kv.append(k, v)
        read_BTD = attend(ctx.wanted(q), k_BGSK, v_BGSK, ctx.mask, self.scale)
        out_BTD = routed(read_BTD, left_BT, self.attn.out, expert.attn.out, idle)
        x_BTD = ctx.wanted(x_BTD) + out_BTD
        return x_BTD + routed(self.norm2(x_BTD), left_BT, self.mlp, expert.mlp, idle)

    def residual_writers(self) -> tuple[Linear, ...]:
        """The matrices whose products are added to the residual stream."""
        expert = self.expert
        return self.attn.out, self.mlp.down, expert.attn.out, expert.mlp.down


class Expert(nn.Module):
    """The version of visual rows."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.attn, self.mlp = Projections(spec), _mlp(spec)


class Projections(nn.Module):
    """Queries, keys and values from rows, and rows from what was read."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        a = spec.attention
        self.q = Linear(spec.width, a.heads * a.head_dim, bias=a.qkv_bias)
        self.k = Linear(spec.width, a.kv_heads * a.head_dim, bias=a.qkv_bias)
        self.v = Linear(spec.width, a.kv_heads * a.head_dim, bias=a.qkv_bias)
        self.out = Linear(a.heads * a.head_dim, spec.width, bias=a.out_bias)
        self.qkv = Joint(self.q, self.k, self.v)
        self.sizes = self.qkv.sizes

    def project(self, x: Tensor) -> Tensor:
        """Queries, keys and values side by side."""
        return torch.cat(self.qkv(x), -1)


class Rows(Protocol):
    """A module, or a part of one, that treats every row alike."""

    def __call__(self, x: Tensor, /) -> Tensor: ...


def routed(
    x_BTD: Tensor, rows_BT: Tensor | None, text: Rows, visual: Rows, idle: bool = False
) -> Tensor:
    """`visual` of the rows that are true, `text` of the others; idle: `visual` even of none."""
    if rows_BT is None or not (idle or rows_BT.any()):
        return text(x_BTD)
    own_RE, others_RE = visual(x_BTD[rows_BT]), text(x_BTD[~rows_BT])
    out_BTE = own_RE.new_empty(*x_BTD.shape[:2], own_RE.shape[-1])
    out_BTE = out_BTE.index_put(rows_BT.nonzero(as_tuple=True), own_RE)
    return out_BTE.index_put((~rows_BT).nonzero(as_tuple=True), others_RE)


def expert_rows(visual_BT: Tensor, lengths: Sequence[int] | None = None) -> Tensor:
    """Visual rows that a visual row follows: [0 1 1 1 0] -> [0 1 1 0 0].

    The last row of a document is followed by none: documents of `lengths` lie end to end.
    """
    followed_BT = F.pad(visual_BT[:, 1:], (0, 1), value=False)
    if lengths is not None:
        followed_BT[:, [end - 1 for end in accumulate(lengths)]] = False
    return visual_BT & followed_BT


def _mlp(spec: DecoderSpec) -> GatedMlp | PlainMlp:
    kind = GatedMlp if spec.mlp.kind == "gated" else PlainMlp
    return kind(spec.width, spec.mlp.width, spec.mlp.activation, bias=spec.mlp.bias)
