"""The Querying Transformer (BLIP-2, Li et al. 2023; InstructBLIP, Dai et al. 2023)."""

# V views  Q queries  L words  T queries and words  N encoder rows  C their width  W inner width
# D language width  H heads

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.connectors.context import Instruction, ViewContext
from sightline.nn.attention import attend
from sightline.nn.linear import Linear
from sightline.nn.masks import BoundMask
from sightline.nn.mlp import PlainMlp
from sightline.nn.norm import LayerNorm
from sightline.spec.connector import InstructionSpec, QFormerSpec


class QFormer(nn.Module):
    """x[V, N, C] -> [V, Q, D]: queries attend to the view, and to the words of the user if read."""

    def __init__(self, spec: QFormerSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(spec.queries, spec.width))
        self.words = None if spec.instruction is None else Words(spec.instruction, spec.width)
        self.norm = LayerNorm(spec.width, spec.norm_eps)
        self.blocks = nn.ModuleList(QFormerBlock(spec, i, inputs) for i in range(spec.depth))
        self.project = Linear(spec.width, outputs, bias=True)

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        count = len(self.queries)
        x_VTW = self.queries.expand(len(x_VNC), -1, -1)
        mask = BoundMask()
        if self.words is not None and ctx.instruction is not None:
            x_VTW = torch.cat((x_VTW, self.words(ctx.instruction.ids_VL)), 1)
            mask = seen_words(ctx.instruction, count)
        x_VTW = self.norm(x_VTW)
        for block in self.blocks:
            x_VTW = block(x_VTW, x_VNC, mask, count)
        return self.project(x_VTW[:, :count])


def seen_words(instruction: Instruction, queries: int) -> BoundMask:
    """All see the queries and the words that are no padding."""
    seen_VT = F.pad(instruction.present_VL, (queries, 0), value=True)
    views, tokens = seen_VT.shape
    return BoundMask(allowed_B1TS=seen_VT[:, None, None].expand(views, 1, tokens, tokens))


class Words(nn.Module):
    """Embeddings of words and of their places, ids[V, L] -> [V, L, W]."""

    def __init__(self, spec: InstructionSpec, width: int) -> None:
        super().__init__()
        self.embed = nn.Parameter(torch.empty(spec.vocab, width))
        self.positions = nn.Parameter(torch.empty(spec.context, width))

    def forward(self, ids_VL: Tensor) -> Tensor:
        return F.embedding(ids_VL, self.embed) + self.positions[: ids_VL.shape[1]]


class QFormerBlock(nn.Module):
    """Self-attention of all, cross-attention of queries in some blocks, a feed-forward each."""

    def __init__(self, spec: QFormerSpec, layer: int, inputs: int) -> None:
        super().__init__()
        self.attn = PostNormAttention(spec, spec.width)
        self.cross = PostNormAttention(spec, inputs) if layer in spec.crossing else None
        self.query_mlp = PostNormMlp(spec)
        self.word_mlp = None if spec.instruction is None else PostNormMlp(spec)

    def forward(self, x_VTW: Tensor, view_VNC: Tensor, mask: BoundMask, queries: int) -> Tensor:
        x_VTW = self.attn(x_VTW, x_VTW, mask)
        x_VQW, words_VLW = x_VTW[:, :queries], x_VTW[:, queries:]
        if self.cross is not None:
            x_VQW = self.cross(x_VQW, view_VNC, BoundMask())
        x_VQW = self.query_mlp(x_VQW)
        return x_VQW if self.word_mlp is None else torch.cat((x_VQW, self.word_mlp(words_VLW)), 1)


class PostNormAttention(nn.Module):
    """norm(x + attention of x to memory), memory[V, S, `inputs`]."""

    def __init__(self, spec: QFormerSpec, inputs: int) -> None:
        super().__init__()
        self.heads, self.scale = spec.heads, (spec.width // spec.heads) ** -0.5
        self.q = Linear(spec.width, spec.width, bias=True)
        self.k = Linear(inputs, spec.width, bias=True)
        self.v = Linear(inputs, spec.width, bias=True)
        self.out = Linear(spec.width, spec.width, bias=True)
        self.norm = LayerNorm(spec.width, spec.norm_eps)

    def forward(self, x_VTW: Tensor, memory: Tensor, mask: BoundMask) -> Tensor:
        q, k, v = (
            projected.unflatten(-1, (self.heads, -1))
            for projected in (self.q(x_VTW), self.k(memory), self.v(memory))
        )
        read_VTW = attend(q, k.transpose(1, 2), v.transpose(1, 2), mask, self.scale)
        return self.norm(x_VTW + self.out(read_VTW))


class PostNormMlp(nn.Module):
    """norm(x + mlp x)."""

    def __init__(self, spec: QFormerSpec) -> None:
        super().__init__()
        self.mlp = PlainMlp(spec.width, spec.mlp_width, spec.activation, bias=True)
        self.norm = LayerNorm(spec.width, spec.norm_eps)

    def forward(self, x_VTW: Tensor) -> Tensor:
        return self.norm(x_VTW + self.mlp(x_VTW))
