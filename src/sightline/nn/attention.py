"""Scaled dot-product attention with grouped queries, on the kernel that suits the shape."""

# B batch  T queries  S keys  H query heads  G key/value heads  R query heads of one group
# K head dim  N queries of one block

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.nn.masks import BoundMask, Run
from sightline.nn.trained_attention import PlainAttention, pieces

SHORT = 1024  # keys up to which training on a CPU keeps a table of weights: faster, and larger
BLOCK = 128  # queries of one block on a CPU
BLOCK_BYTES = 1 << 20  # scores of one block: they stay in the cache from one product to the next


def attend(
    q_BTHK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    mask: BoundMask,
    scale: float,
    soft_cap: float | None = None,
) -> Tensor:
    """Attention output [B, T, H*K]; query head h reads key/value head h // (H / G).

    With a `soft_cap` scores s become soft_cap · tanh(s / soft_cap) before they are masked.
    """
    on_cpu = q_BTHK.device.type == "cpu"
    trains = torch.is_grad_enabled() and any(x.requires_grad for x in (q_BTHK, k_BGSK, v_BGSK))
    short = on_cpu and trains and _most_keys(k_BGSK, mask) <= SHORT
    if short and soft_cap is None and not torch.compiler.is_compiling():
        out_BTE: Tensor = PlainAttention.apply(q_BTHK, k_BGSK, v_BGSK, mask, scale)
        return out_BTE
    if mask.runs is not None:
        return _by_runs(q_BTHK, k_BGSK, v_BGSK, mask.runs, scale, soft_cap)
    if q_BTHK.shape[1] == 1 and not short:
        return _single_row(q_BTHK, k_BGSK, v_BGSK, mask, scale, soft_cap)
    q_BHTK = q_BTHK.transpose(1, 2)
    if short:
        out_BHTK = _plain(q_BHTK, k_BGSK, v_BGSK, mask, scale, soft_cap)
    elif on_cpu and not trains:
        out_BHTK = _by_blocks(q_BHTK, k_BGSK, v_BGSK, mask, scale, soft_cap)
    elif soft_cap is not None:
        out_BHTK = _plain(q_BHTK, k_BGSK, v_BGSK, mask, scale, soft_cap)
    else:
        repeats = q_BHTK.shape[1] // k_BGSK.shape[1]
        out_BHTK = F.scaled_dot_product_attention(
            q_BHTK,
            _repeat(k_BGSK, repeats),
            _repeat(v_BGSK, repeats),
            attn_mask=mask.allowed_B1TS,
            is_causal=mask.causal,
            scale=scale,
        )
    return out_BHTK.transpose(1, 2).flatten(2)


def _most_keys(k_BGSK: Tensor, mask: BoundMask) -> int:
    """Keys of the longest document."""
    return k_BGSK.shape[2] if mask.runs is None else max(run.keys for run in mask.runs)


def _by_runs(
    q_1THK: Tensor,
    k_1GSK: Tensor,
    v_1GSK: Tensor,
    runs: Sequence[Run],
    scale: float,
    soft_cap: float | None,
) -> Tensor:
    """A packed row: each run as a batch of its own. A document without keys reads zeros."""
    q_runs = q_1THK[0].split([run.documents * run.queries for run in runs])
    keys = [run.documents * run.keys for run in runs]
    k_runs, v_runs = k_1GSK[0].split(keys, 1), v_1GSK[0].split(keys, 1)
    out: list[Tensor] = []
    for run, q_THK, k_GSK, v_GSK in zip(runs, q_runs, k_runs, v_runs, strict=True):
        if not run.keys:
            out.append(q_THK.new_zeros(q_THK.shape).flatten(1))
            continue
        q_NTHK = q_THK.unflatten(0, (run.documents, run.queries))
        k_NGSK, v_NGSK = (
            x_GSK.unflatten(1, (run.documents, run.keys)).transpose(0, 1)
            for x_GSK in (k_GSK, v_GSK)
        )
        out.append(attend(q_NTHK, k_NGSK, v_NGSK, run.mask, scale, soft_cap).flatten(0, 1))
    return torch.cat(out)[None]


def _repeat(x_BGSK: Tensor, repeats: int) -> Tensor:
    return x_BGSK if repeats == 1 else x_BGSK.repeat_interleave(repeats, dim=1)


def _single_row(
    q_B1HK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    mask: BoundMask,
    scale: float,
    soft_cap: float | None,
) -> Tensor:
    """One new token: the heads of a group become rows, so keys are read once and never copied."""
    batch, _, heads, head_dim = q_B1HK.shape
    groups = k_BGSK.shape[1]
    rows_BGRK = q_B1HK.reshape(batch, groups, heads // groups, head_dim)
    if soft_cap is None:
        out_BGRK = F.scaled_dot_product_attention(
            rows_BGRK, k_BGSK, v_BGSK, attn_mask=mask.allowed_B1TS, scale=scale
        )
    else:
        all_seen = BoundMask(allowed_B1TS=mask.allowed_B1TS)  # one row: never beyond itself
        out_BGRK = _plain(rows_BGRK, k_BGSK, v_BGSK, all_seen, scale, soft_cap)
    return out_BGRK.reshape(batch, 1, heads * head_dim)


def _plain(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    mask: BoundMask,
    scale: float,
    soft_cap: float | None,
) -> Tensor:
    """softmax(cap(q k^T · scale) + mask) v written out, in the dtype of its inputs."""
    groups = k_BGSK.shape[1]
    q_BGRTK = (q_BHTK * scale).unflatten(1, (groups, -1))
    scores_BGRTS = (q_BGRTK.flatten(2, 3) @ k_BGSK.transpose(2, 3)).unflatten(2, q_BGRTK.shape[2:4])
    allowed = mask.allowed_B1TS
    if mask.causal:
        queries, keys = scores_BGRTS.shape[3:]
        allowed = torch.ones(queries, keys, dtype=torch.bool, device=k_BGSK.device).tril()
        allowed = allowed[None, None]
    if soft_cap is not None:
        scores_BGRTS = soft_cap * (scores_BGRTS / soft_cap).tanh()
    if allowed is not None:
        scores_BGRTS = scores_BGRTS.masked_fill(~allowed[:, :, None], float("-inf"))
    mixed_BGMK = scores_BGRTS.softmax(-1).flatten(2, 3) @ v_BGSK
    return mixed_BGMK.unflatten(2, q_BGRTK.shape[2:4]).flatten(1, 2)


def _by_blocks(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    mask: BoundMask,
    scale: float,
    soft_cap: float | None,
) -> Tensor:
    """Attention in blocks of queries; keys that a causal block cannot see are not multiplied.

    On a CPU up to 3 times as fast as torch's flash kernel. Unlike there, scores are rounded to the
    dtype, so below float32 keys are centred first: all scores of a query shift alike, which
    changes nothing but that rounding. With the large key biases of Qwen2 it would be coarse.
    Capped scores do not shift, and are small.
    """
    groups, keys = k_BGSK.shape[1:3]
    queries = q_BHTK.shape[2]
    q_BGRTK = (q_BHTK * (scale / (soft_cap or 1.0))).unflatten(1, (groups, -1))
    if k_BGSK.dtype.itemsize < 4 and soft_cap is None:
        k_BGSK = k_BGSK - k_BGSK.mean(2, keepdim=True)
    k_BGKS, v_BGSK = k_BGSK.contiguous().transpose(2, 3), v_BGSK.contiguous()
    out_BGRTK = torch.empty_like(q_BGRTK)
    rows_per_group = q_BGRTK[:, 0, :, :BLOCK, 0].numel()
    bytes_per_group = rows_per_group * keys * q_BHTK.itemsize
    for g in pieces(groups, BLOCK_BYTES // max(bytes_per_group, 1)):
        for t in pieces(queries, BLOCK):
            seen = keys - queries + t.stop if mask.causal else keys
            scores_BGNS = q_BGRTK[:, g, :, t].flatten(2, 3) @ k_BGKS[:, g, :, :seen]
            if soft_cap is not None:
                scores_BGNS.tanh_().mul_(soft_cap)
            size = (-1, t.stop - t.start)
            _hide(scores_BGNS.unflatten(2, size), mask, t)
            mixed_BGNK = scores_BGNS.softmax(-1) @ v_BGSK[:, g, :seen]
            out_BGRTK[:, g, :, t] = mixed_BGNK.unflatten(2, size)
    return out_BGRTK.flatten(1, 2)


def _hide(scores_BGRTS: Tensor, mask: BoundMask, t: slice) -> None:
    """Put what the queries `t` may not see at minus infinity, in place."""
    if mask.causal:
        size = scores_BGRTS.shape[3]
        later = torch.full((size, size), -math.inf, dtype=scores_BGRTS.dtype).triu_(1)
        scores_BGRTS[..., -size:] += later
    if mask.allowed_B1TS is not None:
        scores_BGRTS.masked_fill_(~mask.allowed_B1TS[:, :, None, t], -math.inf)
