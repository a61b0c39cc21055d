"""Attention by blocks: wherever the borders fall, the result is that of one product."""

# B batch  T queries  S keys  H query heads  G key/value heads  K head dim

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from sightline.nn import attention
from sightline.nn.attention import attend
from sightline.nn.masks import BoundMask
from sightline.nn.trained_attention import pieces


def exact(q_BTHK, k_BGSK, v_BGSK, mask, scale):
    repeats = q_BTHK.shape[2] // k_BGSK.shape[1]
    wide = [x.double().repeat_interleave(repeats, 1) for x in (k_BGSK, v_BGSK)]
    allowed = mask.allowed_B1TS
    q_BHTK = q_BTHK.double().transpose(1, 2)
    out = F.scaled_dot_product_attention(
        q_BHTK, *wide, attn_mask=allowed, is_causal=mask.causal, scale=scale
    )
    return out.transpose(1, 2).flatten(2)


@given(
    block=st.integers(1, 40),
    block_bytes=st.sampled_from([1, 500, 3000, 1 << 30]),
    queries=st.integers(2, 70),
    groups=st.integers(1, 5),
    repeats=st.integers(1, 3),
    kind=st.sampled_from(["causal", "full", "dense"]),
)
def test_borders_change_nothing(block, block_bytes, queries, groups, repeats, kind):
    q = torch.randn(2, queries, groups * repeats, 4)
    k, v = torch.randn(2, 2, groups, queries, 4)
    allowed = torch.rand(2, 1, queries, queries) < 0.5
    masks = {
        "causal": BoundMask(causal=True),
        "full": BoundMask(),
        "dense": BoundMask(allowed_B1TS=allowed | torch.eye(queries, dtype=torch.bool)),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "BLOCK", block)
        patch.setattr(attention, "BLOCK_BYTES", block_bytes)
        out = attend(q, k, v, masks[kind], 0.7)
    assert (out - exact(q, k, v, masks[kind], 0.7)).abs().max() < 1e-5


@given(total=st.integers(1, 999), most=st.integers(0, 2000))
def test_pieces_cover_everything_once(total, most):
    cut = list(pieces(total, most))
    assert [i for piece in cut for i in range(total)[piece]] == list(range(total))
    assert all(1 <= piece.stop - piece.start <= max(most, 1) for piece in cut)


@pytest.mark.parametrize("bias", [0, 10, 40])
def test_key_biases_do_not_coarsen_bfloat16(bias):
    """Biases of keys shift all scores of a query: no more than torch's own kernel loses."""
    q, k, v = (torch.randn(1, n, 300, 64, dtype=torch.bfloat16) for n in (4, 2, 2))
    k += (bias * torch.randn(1, 2, 1, 64)).bfloat16()
    q, causal = q.transpose(1, 2), BoundMask(causal=True)
    truth = exact(q, k, v, causal, 0.125)
    fused = F.scaled_dot_product_attention(
        q.transpose(1, 2), *(x.repeat_interleave(2, 1) for x in (k, v)), is_causal=True, scale=0.125
    )
    theirs = (fused.transpose(1, 2).flatten(2) - truth).square().mean().sqrt()
    ours = (attend(q, k, v, causal, 0.125) - truth).square().mean().sqrt()
    assert ours < 3 * theirs


@pytest.mark.parametrize(("batch", "queries"), [(0, 5), (1, 0)])
def test_nothing_gives_nothing(batch, queries):
    k, v = torch.randn(2, batch, 2, 5, 4)
    out = attend(torch.randn(batch, queries, 4, 4), k, v, BoundMask(), 1.0)
    assert out.shape == (batch, queries, 16)
