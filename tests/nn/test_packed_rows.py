"""Document by document against the dense mask over the whole row, in float64."""

# B batch  T queries  S keys  H query heads  G key/value heads  K head dim

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sightline.nn import trained_attention
from sightline.nn.attention import attend
from sightline.nn.masks import BoundMask, Mask, Run

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6) | st.lists(
    st.sampled_from([3, 5]), min_size=2, max_size=6
)


@st.composite
def rows(draw):
    """A packed mask, a window, heads, a soft cap, and whether gradients are asked for."""
    lengths = tuple(draw(LENGTHS))
    document = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    group = None
    if draw(st.booleans()):
        marks = draw(st.lists(st.integers(-1, 1), min_size=len(document), max_size=len(document)))
        own = torch.tensor(marks)
        group = torch.where(own < 0, own, own + 2 * document)[None]
    mask = Mask(draw(st.booleans()), document[None], group, draw(st.booleans()), lengths)
    window = draw(st.none() | st.integers(1, 6))
    heads = draw(st.sampled_from([(4, 4), (4, 2), (2, 1)]))
    return mask, window, heads, draw(st.none() | st.just(0.8)), draw(st.booleans())


def drawn(tokens, heads, groups):
    return (
        torch.randn(1, tokens, heads, 6, dtype=torch.float64),
        *torch.randn(2, 1, groups, tokens, 6, dtype=torch.float64),
    )


def dense(q_BTHK, k_BGSK, v_BGSK, allowed_B1TS, scale, cap):
    """The definition, over all pairs of the row."""
    repeats = q_BTHK.shape[2] // k_BGSK.shape[1]
    k, v = (x.repeat_interleave(repeats, 1) for x in (k_BGSK, v_BGSK))
    scores = q_BTHK.transpose(1, 2) @ k.transpose(2, 3) * scale
    scores = scores if cap is None else cap * (scores / cap).tanh()
    weights = scores.masked_fill(~allowed_B1TS, -torch.inf).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


@given(rows())
def test_documents_alone_equal_the_masked_row(case):
    """Values and gradients, whatever the lengths."""
    mask, window, (heads, groups), cap, trains = case
    tokens = sum(mask.lengths)
    torch.manual_seed(tokens)
    inputs = [x.requires_grad_(trains) for x in drawn(tokens, heads, groups)]
    bound = mask.bind(0, tokens, window, CPU)
    whole = replace(mask, lengths=None).bind(0, tokens, window, CPU)
    allowed = whole.allowed_B1TS
    if allowed is None:
        allowed = torch.ones(1, 1, tokens, tokens, dtype=torch.bool)
        allowed = allowed.tril() if whole.causal else allowed
    assert bound.runs is not None and sum(run.documents for run in bound.runs) == len(mask.lengths)
    found, truth = attend(*inputs, bound, 0.4, cap), dense(*inputs, allowed, 0.4, cap)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-12)
    if trains:
        upstream = torch.randn_like(found)
        mine, theirs = (torch.autograd.grad(out, inputs, upstream) for out in (found, truth))
        for gradient, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(gradient, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("block", [1, 2, 3, 64])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2)], ids=str)
def test_blocks_of_causal_queries_change_nothing(heads, block, monkeypatch):
    monkeypatch.setattr(trained_attention, "BLOCK", block)
    lengths = (7, 7, 4, 1)
    mask = Mask(lengths=lengths)
    inputs = [x.requires_grad_() for x in drawn(19, *heads)]
    found = attend(*inputs, mask.bind(0, 19, None, CPU), 0.4)
    document = torch.arange(4).repeat_interleave(torch.tensor(lengths))
    seen = (document[:, None] == document) & torch.ones(19, 19, dtype=torch.bool).tril()
    truth = dense(*inputs, seen[None, None], 0.4, None)
    upstream = torch.randn_like(found)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-12)
    pairs = (torch.autograd.grad(out, inputs, upstream) for out in (found, truth))
    for gradient, other in zip(*pairs, strict=True):
        torch.testing.assert_close(gradient, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("cap", [None, 0.8])
def test_who_has_nothing_to_read_reads_zeros(cap, trains):
    """Documents without keys beside one with some, as in a memory."""
    q, k, v = (x.requires_grad_(trains) for x in drawn(6, 4, 2))
    k, v = k[:, :, :3], v[:, :, :3]
    runs = (Run(1, 2, 0, BoundMask()), Run(1, 3, 3, BoundMask()), Run(1, 1, 0, BoundMask()))
    found = attend(q, k, v, BoundMask(runs=runs), 0.4, cap)
    assert not found[:, [0, 1, 5]].any()
    truth = attend(q[:, 2:5], k, v, BoundMask(), 0.4, cap)
    torch.testing.assert_close(found[:, 2:5], truth, rtol=0, atol=1e-12)
    if trains:
        (gradient,) = torch.autograd.grad(found.sum(), q)
        assert not gradient[:, [0, 1, 5]].any() and gradient[:, 2:5].any()


def test_equal_neighbours_run_together():
    runs = Mask(lengths=(4, 4, 4, 2, 4)).bind(0, 18, None, CPU).runs
    assert [(run.documents, run.queries) for run in runs] == [(3, 4), (1, 2), (1, 4)]
    assert all(run.mask == BoundMask(causal=True) for run in runs)


def test_a_part_of_a_packed_row_is_masked_densely():
    """The last row alone, or a row after cached ones, sees its own document."""
    document = torch.tensor([[0, 0, 1, 1, 1]])
    mask = Mask(document_BS=document, lengths=(2, 3))
    last = mask.bind(4, 5, None, CPU)
    assert last.runs is None and last.allowed_B1TS is not None
    assert last.allowed_B1TS[0, 0, 0].tolist() == [False, False, True, True, True]
    with pytest.raises(AssertionError, match="packed"):
        mask.with_room(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("causal", [False, True])
@settings(max_examples=10)
@given(seed=st.integers(0, 99))
def test_low_precision_stays_near_float64(dtype, causal, seed):
    torch.manual_seed(seed)
    q, k, v = (x.to(dtype).requires_grad_() for x in drawn(40, 4, 2))
    found = attend(q, k, v, BoundMask(causal=causal), 0.4)
    wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
    k4, v4 = (x.repeat_interleave(2, 1) for x in wide[1:])
    truth = F.scaled_dot_product_attention(
        wide[0].transpose(1, 2), k4, v4, is_causal=causal, scale=0.4
    )
    truth = truth.transpose(1, 2).flatten(2)
    upstream = torch.randn_like(found)
    mine = torch.autograd.grad(found, (q, k, v), upstream)
    theirs = torch.autograd.grad(truth, wide, upstream.double())
    bound = 1e-5 if dtype == torch.float32 else 0.03
    for a, b in zip((found, *mine), (truth, *theirs), strict=True):
        assert (a.double() - b).abs().max() <= bound * b.abs().max()
