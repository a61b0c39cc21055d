"""Every kernel of attention against a softmax that is written out in float64."""

# B batch  T queries  S keys  H query heads  G key/value heads  K head dim

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from sightline.nn.attention import SHORT, attend
from sightline.nn.masks import PADDING, Mask

CPU = torch.device("cpu")
DOCUMENT = torch.tensor([[PADDING, PADDING, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 0]])
GROUP = torch.tensor([[-1, -1, 0, 0, -1, -1, -1], [-1, 2, 2, 2, -1, 3, 3]])
MASKS = {
    "causal": (Mask(), None),
    "full": (Mask(causal=False), None),
    "window": (Mask(), 3),
    "documents": (Mask(document_BS=DOCUMENT), None),
    "groups": (Mask(group_BS=GROUP), 2),
    "both": (Mask(document_BS=DOCUMENT, group_BS=GROUP), 2),
}
HEADS = [(4, 4), (4, 2), (4, 1), (1, 1)]


def capped(score, cap):
    return score if cap is None else cap * math.tanh(score / cap)


def written_out(q_BTHK, k_BGSK, v_BGSK, allowed_BTS, scale, cap=None):
    """Token by token, head by head."""
    q, k, v = (x.double() for x in (q_BTHK, k_BGSK, v_BGSK))
    batch, queries, heads, _ = q.shape
    out = torch.empty(batch, queries, heads, v.shape[-1], dtype=torch.float64)
    for b in range(batch):
        for t in range(queries):
            seen = allowed_BTS[b, t]
            for h in range(heads):
                g = h // (heads // k.shape[1])
                scores = (k[b, g, seen] @ q[b, t, h] * scale).tolist()
                weights = [math.exp(capped(score, cap)) for score in scores]
                mixed = torch.tensor(weights, dtype=torch.float64) @ v[b, g, seen]
                out[b, t, h] = mixed / sum(weights)
    return out.flatten(2)


def case(heads, groups, start, stop, name, dtype=torch.float32):
    mask, window = MASKS[name]
    q = torch.randn(2, stop - start, heads, 6, dtype=dtype)
    k, v = torch.randn(2, 2, groups, stop, 6, dtype=dtype)
    bound = mask.bind(start, stop, window, CPU)
    dense = mask._dense(start, stop, window, CPU)[:, 0].expand(2, -1, -1)
    return q, k, v, bound, dense


@pytest.mark.parametrize(("heads", "groups"), HEADS)
@pytest.mark.parametrize("span", [(0, 7), (3, 7), (6, 7), (0, 1)], ids=str)
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("trains", [False, True])
def test_attention_equals_a_written_softmax(heads, groups, span, name, trains):
    q, k, v, bound, dense = case(heads, groups, *span, name)
    out = attend(q.requires_grad_(trains), k, v, bound, 0.4)
    truth = written_out(q.detach(), k, v, dense, 0.4)
    torch.testing.assert_close(out.detach().double(), truth, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("heads", "groups"), HEADS)
@pytest.mark.parametrize("span", [(0, 7), (3, 7), (6, 7), (0, 1)], ids=str)
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("trains", [False, True])
def test_a_soft_cap_bends_scores_before_they_are_masked(heads, groups, span, name, trains):
    q, k, v, bound, dense = case(heads, groups, *span, name)
    out = attend(q.requires_grad_(trains), k, v, bound, 0.9, 1.3)
    truth = written_out(q.detach(), k, v, dense, 0.9, 1.3)
    torch.testing.assert_close(out.detach().double(), truth, rtol=0, atol=2e-6)


@pytest.mark.parametrize("queries", [1, 5])
def test_a_soft_cap_holds_beyond_the_plain_product(queries):
    length = SHORT + 3
    q = torch.randn(1, queries, 2, 4, requires_grad=True)
    k, v = torch.randn(2, 1, 1, length, 4)
    bound = Mask().bind(length - queries, length, None, CPU)
    dense = torch.ones(queries, length, dtype=torch.bool).tril(length - queries)[None]
    out = attend(q, k, v, bound, 0.9, 1.3)
    assert torch.autograd.grad(out.sum(), q)[0].abs().max() > 1e-6
    truth = written_out(q.detach(), k, v, dense, 0.9, 1.3)
    torch.testing.assert_close(out.detach().double(), truth, rtol=0, atol=2e-6)


def test_long_sequences_agree_too():
    """Beyond SHORT keys training leaves the plain product for the flash kernel."""
    length = SHORT + 3
    q = torch.randn(1, 5, 2, 4, requires_grad=True)
    k, v = torch.randn(2, 1, 1, length, 4)
    bound = Mask().bind(length - 5, length, None, CPU)
    dense = torch.ones(5, length, dtype=torch.bool).tril(length - 5)[None]
    out = attend(q, k, v, bound, 0.5).detach().double()
    torch.testing.assert_close(out, written_out(q.detach(), k, v, dense, 0.5), rtol=0, atol=2e-6)


def many(length, name):
    """Masks over enough queries for several blocks."""
    numbers = torch.arange(length)
    document = torch.stack((numbers // 50, numbers.clamp(max=9) - 9)).clamp(max=2)
    group = torch.stack((numbers // 7 % 3 - 1, numbers // 100))
    return {
        "causal": (Mask(), None),
        "full": (Mask(causal=False), None),
        "window": (Mask(), 20),
        "documents": (Mask(document_BS=document), None),
        "groups": (Mask(group_BS=group), 30),
        "both": (Mask(document_BS=document, group_BS=group), 30),
    }[name]


@pytest.mark.parametrize(("heads", "groups"), HEADS)
@pytest.mark.parametrize("span", [(0, 150), (20, 150), (0, 64), (0, 65)], ids=str)
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(
    ("dtype", "cap"),
    [(torch.float32, None), (torch.bfloat16, None), (torch.float32, 4.0), (torch.bfloat16, 4.0)],
    ids=str,
)
def test_many_queries_equal_a_softmax_in_float64(heads, groups, span, name, dtype, cap):
    mask, window = many(150, name)
    q = torch.randn(2, span[1] - span[0], heads, 8).to(dtype)
    k, v = torch.randn(2, 2, groups, span[1], 8).to(dtype)
    k += 4 * torch.randn(8).to(dtype)  # what the key biases of some models do
    out = attend(q, k, v, mask.bind(*span, window, CPU), 0.35, cap)
    dense = mask._dense(*span, window, CPU)
    wide = [x.double().repeat_interleave(heads // groups, 1) for x in (k, v)]
    scores = q.double().transpose(1, 2) @ wide[0].transpose(2, 3) * 0.35
    scores = scores if cap is None else cap * (scores / cap).tanh()
    truth = (
        (scores.masked_fill(~dense, -torch.inf).softmax(-1) @ wide[1]).transpose(1, 2).flatten(2)
    )
    assert out.dtype == dtype
    bound = 1e-5 if dtype == torch.float32 else 0.06
    assert (out.double() - truth).abs().max() < bound


@pytest.mark.parametrize(("heads", "groups"), HEADS)
@pytest.mark.parametrize("name", MASKS)
def test_gradients_of_the_training_path_equal_the_kernels(heads, groups, name):
    q, k, v, bound, dense = case(heads, groups, 0, 7, name, torch.float64)
    inputs = [x.requires_grad_() for x in (q, k, v)]
    upstream = torch.randn(2, 7, heads * 6, dtype=torch.float64)
    mine = torch.autograd.grad((attend(q, k, v, bound, 0.4) * upstream).sum(), inputs)
    repeated = (x.repeat_interleave(heads // groups, 1) for x in (k, v))
    theirs = F.scaled_dot_product_attention(
        q.transpose(1, 2), *repeated, attn_mask=dense[:, None], scale=0.4
    )
    theirs = (theirs.transpose(1, 2).flatten(2) * upstream).sum()
    for gradient, truth in zip(mine, torch.autograd.grad(theirs, inputs), strict=True):
        torch.testing.assert_close(gradient, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cap", [None, 0.8])
def test_gradients_equal_finite_differences(cap):
    q, k, v, bound, _ = case(2, 1, 0, 4, "causal", torch.float64)
    inputs = tuple(x[:1].clone().requires_grad_() for x in (q, k, v))
    assert torch.autograd.gradcheck(lambda *x: attend(*x, bound, 0.3, cap), inputs)


@pytest.mark.parametrize("span", [(0, 7), (6, 7)], ids=str)
def test_unseen_values_leave_no_trace(span):
    """Huge numbers in masked keys and values must not leak, not even as rounding."""
    q, k, v, bound, dense = case(4, 2, *span, "documents")
    before = attend(q, k, v, bound, 0.4)
    unseen = ~dense.any(1)[:, None, :, None]
    loud = [torch.where(unseen, 1e30, x) for x in (k, v)]
    assert unseen.any() or span == (0, 7)
    assert torch.equal(attend(q, *loud, bound, 0.4), before)


def test_query_heads_share_the_keys_of_their_group():
    """Head h reads group h // (heads / groups), as Llama orders them."""
    q = torch.randn(1, 1, 4, 4)
    k = torch.randn(1, 2, 3, 4)
    v = torch.arange(2.0).reshape(1, 2, 1, 1).expand(1, 2, 3, 4)
    out = attend(q, k, v, Mask().bind(2, 3, None, CPU), 1.0).unflatten(-1, (4, 4))
    torch.testing.assert_close(out[0, 0, :, 0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
