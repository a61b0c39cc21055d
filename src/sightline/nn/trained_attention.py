"""Attention for training on a CPU: plain products, with the backward pass written out.

For short keys they beat torch's flash kernel, whose backward pass on a CPU is slow. Written out,
they keep one table of weights and no mask, and never multiply what a causal block cannot see.
"""

# B batch  T queries  S keys  H query heads  G key/value heads  R query heads of one group
# K head dim  N documents of a run, or the batch  P pairs of document and key head (N · G)
# M queries of one block, those of all R heads below each other

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sightline.nn.masks import BoundMask

BLOCK = 128  # queries of one causal block


class PlainAttention(torch.autograd.Function):
    """Attention output [B, T, H*K] of q[B, T, H, K] over k, v[B, G, S, K]."""

    @staticmethod
    def forward(
        ctx: Any, q_BTHK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: BoundMask, scale: float
    ) -> Tensor:
        out_BTHK = torch.empty(q_BTHK.shape, dtype=q_BTHK.dtype)
        shares = (
            (_shares(mask, x, 1) for x in (out_BTHK, q_BTHK)),
            (_shares(mask, x, 2) for x in (k_BGSK, v_BGSK)),
        )
        kept: list[Tensor] = []
        for own, out, q, k, v in zip(_masks(mask), *shares[0], *shares[1], strict=True):
            kept += _forward(out, q, k, v, own, scale)
        ctx.save_for_backward(*kept)
        ctx.mask, ctx.scale, ctx.shapes = mask, scale, (q_BTHK.shape, k_BGSK.shape)
        return out_BTHK.flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_BTE: Tensor) -> tuple[Tensor | None, ...]:
        (batch, queries, heads, dim), (_, groups, keys, _) = ctx.shapes
        like, kept = out_BTE.new_empty, iter(ctx.saved_tensors)
        dq_BTHK = like(batch, queries, heads, dim)
        dk_BGSK, dv_BGSK = (like(batch, keys, groups, dim).transpose(1, 2) for _ in range(2))
        shares = (
            *(_shares(ctx.mask, x, 1) for x in (out_BTE.unflatten(2, (heads, dim)), dq_BTHK)),
            *(_shares(ctx.mask, x, 2) for x in (dk_BGSK, dv_BGSK)),
        )
        for own, out, dq, dk, dv in zip(_masks(ctx.mask), *shares, strict=True):
            _backward(out, kept, (dq, dk, dv), own, ctx.scale)
        return dq_BTHK, dk_BGSK, dv_BGSK, None, None


def _masks(mask: BoundMask) -> Sequence[BoundMask]:
    return [mask] if mask.runs is None else [run.mask for run in mask.runs]


def _shares(mask: BoundMask, x: Tensor, dim: int) -> Sequence[Tensor]:
    """What of x[B, T, H, K] (dim 1) or x[B, G, S, K] (dim 2) each run has, a document a row."""
    if mask.runs is None:
        return [x]
    sizes = [(run.documents, run.queries if dim == 1 else run.keys) for run in mask.runs]
    parts = x[0].split([count * length for count, length in sizes], dim - 1)
    split = [part.unflatten(dim - 1, size) for part, size in zip(parts, sizes, strict=True)]
    return split if dim == 1 else [part.transpose(0, 1) for part in split]


def _forward(
    out_NTHK: Tensor, q_NTHK: Tensor, k_NGSK: Tensor, v_NGSK: Tensor, mask: BoundMask, scale: float
) -> list[Tensor]:
    """Writes the output; returns scaled queries, keys, values, and the weights of each block."""
    groups, keys = k_NGSK.shape[1:3]
    if keys == 0:
        out_NTHK.zero_()
        return []
    q_NGRTK = _by_group(q_NTHK, groups).mul_(scale)
    k_PSK, v_PSK = k_NGSK.contiguous().flatten(0, 1), v_NGSK.contiguous().flatten(0, 1)
    kept = [q_NGRTK, k_PSK, v_PSK]
    for t, seen in _blocks(mask, q_NTHK.shape[1], keys):
        q_PMK = q_NGRTK[:, :, :, t].flatten(2, 3).flatten(0, 1)
        weights_PMS = torch.bmm(q_PMK, k_PSK[:, :seen].transpose(1, 2))
        _hide(weights_PMS.view(*q_NGRTK.shape[:3], -1, seen), mask)
        torch.ops.aten._softmax.out(weights_PMS, -1, False, out=weights_PMS)
        mixed_PMK = torch.bmm(weights_PMS, v_PSK[:, :seen])
        _by_group_of(out_NTHK, groups)[:, :, :, t] = mixed_PMK.view(*q_NGRTK[:, :, :, t].shape)
        kept.append(weights_PMS)
    return kept


def _backward(
    out_NTHK: Tensor,
    kept: Iterator[Tensor],
    into: tuple[Tensor, Tensor, Tensor],
    mask: BoundMask,
    scale: float,
) -> None:
    """From the gradient of the output to those of queries, keys and values, written `into`."""
    dq_NTHK, dk_NGSK, dv_NGSK = into
    groups, keys = dk_NGSK.shape[1:3]
    if keys == 0:
        dq_NTHK.zero_()
        return
    q_NGRTK, k_PSK, v_PSK = (next(kept) for _ in range(3))
    out_NGRTK = _by_group(out_NTHK, groups)
    dk_PSK, dv_PSK = torch.empty_like(k_PSK), torch.empty_like(v_PSK)
    blocks = list(_blocks(mask, q_NGRTK.shape[3], keys))
    tables = [next(kept) for _ in blocks]
    for (t, seen), weights_PMS in reversed(list(zip(blocks, tables, strict=True))):
        q_PMK, out_PMK = (x[:, :, :, t].flatten(2, 3).flatten(0, 1) for x in (q_NGRTK, out_NGRTK))
        last = t.stop == q_NGRTK.shape[3]  # the first to write: it sees every key
        _multiply(dv_PSK[:, :seen], weights_PMS.transpose(1, 2), out_PMK, add=not last)
        scores_PMS = torch.bmm(out_PMK, v_PSK[:, :seen].transpose(1, 2))
        torch.ops.aten._softmax_backward_data.out(
            scores_PMS, weights_PMS, -1, weights_PMS.dtype, grad_input=scores_PMS
        )
        _multiply(dk_PSK[:, :seen], scores_PMS.transpose(1, 2), q_PMK, add=not last)
        dq_PMK = torch.bmm(scores_PMS, k_PSK[:, :seen]).mul_(scale)
        _by_group_of(dq_NTHK, groups)[:, :, :, t] = dq_PMK.view(*q_NGRTK[:, :, :, t].shape)
    dk_NGSK.copy_(dk_PSK.view(dk_NGSK.shape))
    dv_NGSK.copy_(dv_PSK.view(dv_NGSK.shape))


def _multiply(into: Tensor, a: Tensor, b: Tensor, *, add: bool) -> None:
    if add:
        into.baddbmm_(a, b)
    else:
        torch.bmm(a, b, out=into)


def _by_group_of(x_NTHK: Tensor, groups: int) -> Tensor:
    """A view [N, G, R, T, K]."""
    return x_NTHK.unflatten(2, (groups, -1)).permute(0, 2, 3, 1, 4)


def _by_group(x_NTHK: Tensor, groups: int) -> Tensor:
    """A copy [N, G, R, T, K]."""
    return _by_group_of(x_NTHK, groups).clone(memory_format=torch.contiguous_format)


def _blocks(mask: BoundMask, queries: int, keys: int) -> Iterator[tuple[slice, int]]:
    """Queries that are computed together, and how many keys they may see."""
    if not mask.causal:
        return iter([(slice(0, queries), keys)])
    return ((t, keys - queries + t.stop) for t in pieces(queries, BLOCK))


def pieces(total: int, most: int) -> Iterator[slice]:
    """0..total in equal runs of at most `most`, and of at least one."""
    count = math.ceil(total / max(most, 1))
    edges = (total * i // max(count, 1) for i in range(count + 1))
    return (slice(*edge) for edge in itertools.pairwise(edges))


def _hide(scores_NGRTS: Tensor, mask: BoundMask) -> None:
    """Put what a block of queries may not see at minus infinity, in place."""
    if mask.causal:
        size = scores_NGRTS.shape[3]
        later = torch.full((size, size), -math.inf, dtype=scores_NGRTS.dtype).triu_(1)
        scores_NGRTS[..., -size:] += later
    if (allowed_B1TS := mask.allowed_B1TS) is not None:
        unseen = torch.zeros(allowed_B1TS.shape, dtype=scores_NGRTS.dtype)
        scores_NGRTS += unseen.masked_fill_(~allowed_B1TS, -math.inf)[:, :, None]
