"""Scaled dot-product attention with grouped queries, on the kernel that suits the shape."""

# B batch  T queries  S keys  H query heads  G key/value heads  K head dim

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.nn.masks import BoundMask

SHORT = 512  # keys up to which a plain product beats the CPU's flash kernel in the backward pass


def attend(q_BTHK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: BoundMask, scale: float) -> Tensor:
    """Attention output [B, T, H*K]; query head h reads key/value head h // (H / G)."""
    q_BHTK = q_BTHK.transpose(1, 2)
    if q_BHTK.device.type == "cpu" and _wants_plain(q_BHTK, k_BGSK):
        out_BHTK = _plain(q_BHTK, k_BGSK, v_BGSK, mask, scale)
    elif q_BHTK.shape[2] == 1:
        out_BHTK = _single_row(q_BHTK, k_BGSK, v_BGSK, mask, scale)
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


def _wants_plain(q_BHTK: Tensor, k_BGSK: Tensor) -> bool:
    needs_grad = torch.is_grad_enabled() and (q_BHTK.requires_grad or k_BGSK.requires_grad)
    return needs_grad and k_BGSK.shape[2] <= SHORT


def _repeat(x_BGSK: Tensor, repeats: int) -> Tensor:
    return x_BGSK if repeats == 1 else x_BGSK.repeat_interleave(repeats, dim=1)


def _single_row(
    q_BH1K: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: BoundMask, scale: float
) -> Tensor:
    """One new token: the heads of a group become rows, so keys are read once and never copied."""
    rows_BGRK = q_BH1K.squeeze(2).unflatten(1, (k_BGSK.shape[1], -1))
    out_BGRK = F.scaled_dot_product_attention(
        rows_BGRK, k_BGSK, v_BGSK, attn_mask=mask.allowed_B1TS, scale=scale
    )
    return out_BGRK.flatten(1, 2).unsqueeze(2)


def _plain(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: BoundMask, scale: float) -> Tensor:
    """softmax(q k^T · scale + mask) v with three matrix products; weights in float32."""
    repeats = q_BHTK.shape[1] // k_BGSK.shape[1]
    k_BHSK, v_BHSK = _repeat(k_BGSK, repeats), _repeat(v_BGSK, repeats)
    scores_BHTS = (q_BHTK * scale) @ k_BHSK.transpose(2, 3)
    allowed = mask.allowed_B1TS
    if mask.causal:
        queries, keys = scores_BHTS.shape[2:]
        allowed = torch.ones(queries, keys, dtype=torch.bool, device=k_BHSK.device).tril()
    if allowed is not None:
        scores_BHTS = scores_BHTS.masked_fill(~allowed, float("-inf"))
    return scores_BHTS.softmax(-1) @ v_BHSK
