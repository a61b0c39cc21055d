"""The next-token loss against transformers', and where its gradient goes."""

# B sequences  T tokens  D width  V vocabulary

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.tiny import VOCAB, item, tiny_model, words
from transformers.loss.loss_utils import ForCausalLMLoss

from sightline.core.errors import TrainError
from sightline.data.collate import TrainBatch
from sightline.model.batch import collate
from sightline.train.losses.next_token import next_token


class Logits:
    """A model whose hidden states are its logits, so that they can be watched."""

    def __init__(self, logits_BTV):
        self.logits_BTV = logits_BTV.requires_grad_()
        self.language = SimpleNamespace(logits=lambda hidden: hidden)

    def __call__(self, batch):
        return self.logits_BTV


def weighed(batch, targets_BT):
    """A micro-batch whose targets count 1 each."""
    weights_BT = targets_BT.float()
    if weights_BT.shape[1]:
        weights_BT[:, 0] = 0
    return TrainBatch(batch, weights_BT, ("row",), 0, 0)


def mean(model, batch, targets_BT):
    batch = weighed(batch, targets_BT)
    return next_token(model, batch) / batch.weight


@st.composite
def cases(draw):
    rows, tokens = draw(st.integers(1, 4)), draw(st.integers(2, 9))
    flags = st.lists(st.booleans(), min_size=tokens, max_size=tokens)
    targets_BT = torch.tensor([draw(flags) for _ in range(rows)])
    targets_BT[draw(st.integers(0, rows - 1)), draw(st.integers(1, tokens - 1))] = True
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    ids_BT = torch.randint(VOCAB, (rows, tokens), generator=generator)
    logits_BTV = 5 * torch.randn(rows, tokens, VOCAB, generator=generator)
    return SimpleNamespace(token_ids_BT=ids_BT), targets_BT, logits_BTV


@given(cases())
def test_loss_and_gradient_equal_transformers(case):
    batch, targets_BT, logits_BTV = case
    model, reference = Logits(logits_BTV.clone()), logits_BTV.clone().requires_grad_()
    labels = batch.token_ids_BT.masked_fill(~targets_BT, -100)
    truth = ForCausalLMLoss(reference, labels, VOCAB)
    loss = mean(model, batch, targets_BT)
    torch.testing.assert_close(loss, truth, rtol=1e-6, atol=1e-7)
    mine, theirs = (
        torch.autograd.grad(x, y)[0] for x, y in ((loss, model.logits_BTV), (truth, reference))
    )
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-8)


@given(cases())
def test_only_logits_that_predict_a_target_get_a_gradient(case):
    batch, targets_BT, logits_BTV = case
    model = Logits(logits_BTV)
    mean(model, batch, targets_BT).backward()
    moved_BT = (model.logits_BTV.grad != 0).any(-1)
    assert torch.equal(moved_BT[:, :-1], targets_BT[:, 1:]) and not moved_BT[:, -1].any()


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_padding_changes_nothing(short, extra, seed):
    """The loss of two conversations is that of each, weighted by their targets."""
    model = tiny_model()
    items = [
        item(words(short, seed), 1, words(2, seed + 1), seed=seed),
        item(words(short + extra, seed + 2), 1, words(2, seed + 3), seed=seed + 1),
    ]

    def loss_of(some):
        batch = collate(some, 0, "right")
        targets_BT = torch.zeros_like(batch.token_ids_BT, dtype=torch.bool)
        for row, one in enumerate(some):
            targets_BT[row, len(one.token_ids) - 2 : len(one.token_ids)] = True
        return mean(model, batch, targets_BT)

    each = torch.stack([loss_of([one]) for one in items])
    torch.testing.assert_close(loss_of(items), each.mean(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("first", [False, True])
def test_a_batch_without_targets_is_refused(first):
    """A first token has nothing before it, so it is no target."""
    targets_BT = torch.zeros(2, 3, dtype=torch.bool)
    targets_BT[:, 0] = first
    batch = SimpleNamespace(token_ids_BT=torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(TrainError) as caught:
        next_token(Logits(torch.zeros(2, 3, VOCAB)), weighed(batch, targets_BT))
    assert caught.value.field == "targets"


@given(cases(), st.integers(0, 10**6))
def test_weights_multiply_the_losses_of_their_tokens(case, seed):
    batch, targets_BT, logits_BTV = case
    weights_BT = weighed(batch, targets_BT).weights_BT
    weights_BT *= torch.rand(weights_BT.shape, generator=torch.Generator().manual_seed(seed)) + 0.1
    summed = next_token(Logits(logits_BTV), TrainBatch(batch, weights_BT, ("row",), 0, 0))
    logprobs = logits_BTV.double().log_softmax(-1)[:, :-1]
    each_BT = -logprobs.gather(-1, batch.token_ids_BT[:, 1:, None])[..., 0]
    truth = (each_BT * weights_BT[:, 1:].double()).sum()
    torch.testing.assert_close(summed.double(), truth, rtol=1e-5, atol=1e-6)


def test_a_silent_micro_batch_runs_the_same_parts_for_nothing():
    """One of several processes without a good row: gradients of zero for all that others train."""
    model = tiny_model()
    batch = collate([item(words(3), 1, words(2))], 0, "right")
    full = weighed(batch, torch.ones_like(batch.token_ids_BT, dtype=torch.bool))
    next_token(model, full).backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    loss = next_token(model, full.silent())
    loss.backward()
    assert loss.item() == 0 and full.silent().weight == 0
    moved = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert set(moved) == reached and not any(grad.any() for grad in moved.values())
