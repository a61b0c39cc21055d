"""Sampling against transformers' logits processors."""

# V vocabulary

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from sightline.nn.sampling import Sampler, probabilities
from sightline.spec.sampling import Sampling


def normal(seed, size, spread):
    return spread * torch.randn(size, generator=torch.Generator().manual_seed(seed))


LOGITS = st.builds(normal, st.integers(0, 10**6), st.integers(1, 60), st.floats(0.1, 8))
SMALLEST = 1e-37  # of a float32, in which transformers computes
TEMPERATURES = st.floats(0.05, 10)
UNIT = st.floats(0.01, 0.99)


def theirs(logits_V, how):
    """transformers 5.23's order: temperature, top-k, top-p, min-p."""
    scores, ids = logits_V[None], torch.zeros(1, 1, dtype=torch.int64)
    warpers = [TemperatureLogitsWarper(how.temperature)]
    warpers += [] if how.top_k is None else [TopKLogitsWarper(how.top_k)]
    warpers += [] if how.top_p == 1 else [TopPLogitsWarper(how.top_p)]
    warpers += [] if how.min_p == 0 else [MinPLogitsWarper(how.min_p)]
    for warp in warpers:
        scores = warp(ids, scores)
    return scores[0].softmax(-1)


def on_the_edge(logits_V, how):
    """Whether rounding decides what is kept: cumulated shares at top_p, ratios at min_p."""
    before = probabilities(logits_V, dataclasses.replace(how, top_p=1.0, min_p=0.0))
    cumulated = before.sort(descending=True)[0].cumsum(-1)
    after = probabilities(logits_V, dataclasses.replace(how, min_p=0.0))
    at_top_p = how.top_p < 1 and (cumulated - how.top_p).abs().min() < 1e-5
    return at_top_p or (how.min_p > 0 and (after / after.max() - how.min_p).abs().min() < 1e-5)


def compare(logits_V, **options):
    how = Sampling(**options)
    assume(not on_the_edge(logits_V, how))
    mine, truth = probabilities(logits_V, how), theirs(logits_V, how)
    assert torch.equal(mine > SMALLEST, truth > SMALLEST)
    torch.testing.assert_close(mine.float(), truth, rtol=0, atol=1e-6)
    assert mine.sum().item() == pytest.approx(1.0, abs=1e-9)


@given(LOGITS, TEMPERATURES)
def test_temperature(logits_V, temperature):
    compare(logits_V, temperature=temperature)


@given(LOGITS, TEMPERATURES, st.integers(1, 80))
def test_top_k(logits_V, temperature, top_k):
    compare(logits_V, temperature=temperature, top_k=top_k)


@given(LOGITS, TEMPERATURES, UNIT)
def test_top_p(logits_V, temperature, top_p):
    compare(logits_V, temperature=temperature, top_p=top_p)


@given(LOGITS, TEMPERATURES, UNIT)
def test_min_p(logits_V, temperature, min_p):
    compare(logits_V, temperature=temperature, min_p=min_p)


@given(LOGITS, TEMPERATURES, st.integers(1, 80), UNIT, UNIT)
def test_all_together(logits_V, temperature, top_k, top_p, min_p):
    compare(logits_V, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)


@given(LOGITS, st.floats(0.1, 10), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_repetition_penalty(logits_V, penalty, prompt):
    prompt = [token % logits_V.numel() for token in prompt]
    sampler = Sampler(Sampling(repetition_penalty=penalty), prompt, logits_V.numel())
    processor = RepetitionPenaltyLogitsProcessor(penalty)
    answer: list[int] = []
    for _ in range(3):
        truth = processor(torch.tensor([prompt + answer]), logits_V[None])[0]
        answer.append(sampler.choose(logits_V))
        assert truth[answer[-1]] == truth.max()


@given(
    LOGITS,
    st.floats(0, 100, exclude_min=True),
    st.none() | st.integers(1, 100),
    st.floats(0, 1, exclude_min=True),
    st.floats(0, 1),
)
@example(torch.tensor([1e30, -1e30, 0.0]), 5e-324, None, 1e-300, 1.0)
@example(torch.zeros(4), 1e-40, 1, 5e-324, 0.0)
@example(torch.full((3,), -torch.inf).index_fill(0, torch.tensor(1), 0.0), 1.0, 2, 0.5, 0.5)
def test_every_allowed_option_gives_a_distribution(logits_V, temperature, top_k, top_p, min_p):
    how = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    weights = probabilities(logits_V, how)
    assert torch.isfinite(weights).all() and weights.sum().item() == pytest.approx(1.0)
    assert weights[logits_V.argmax()] == weights.max() > 0


def draws(seed, count=4000, **options):
    logits_V = torch.tensor([2.0, 1.0, 0.0, -1.0, 0.5])
    how = Sampling(temperature=1.3, seed=seed, **options)
    sampler = Sampler(how, [], 5)
    return torch.tensor([sampler.choose(logits_V) for _ in range(count)]), probabilities(
        logits_V, how
    )


def test_draws_follow_the_distribution():
    tokens, weights = draws(0, top_p=0.9)
    counts = torch.bincount(tokens, minlength=5)
    kept = weights > 0
    assert not counts[~kept].any() and not kept.all()
    expected = weights[kept] * len(tokens)
    chi2 = ((counts[kept] - expected).square() / expected).sum()
    assert chi2 < 16.3  # the 0.1 % quantile for 3 degrees of freedom


def test_a_seed_fixes_the_draws_and_the_global_generator_does_not_matter():
    first, _ = draws(7, 50)
    torch.manual_seed(1)
    torch.rand(17)
    again, _ = draws(7, 50)
    other, _ = draws(8, 50)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_one_sampler_does_not_disturb_another():
    logits = [torch.randn(9, generator=torch.Generator().manual_seed(i)) for i in range(20)]
    how = Sampling(temperature=1.0, seed=3, repetition_penalty=1.5)
    alone = Sampler(how, [1, 2], 9)
    expected = [alone.choose(x) for x in logits]
    mine, neighbour = Sampler(how, [1, 2], 9), Sampler(how, [4], 9)
    found = []
    for x in logits:
        neighbour.choose(-x)
        found.append(mine.choose(x))
    assert found == expected


def test_greedy_takes_the_largest_and_ignores_the_seed():
    logits_V = torch.randn(30)
    for seed in range(3):
        sampler = Sampler(Sampling(seed=seed, top_k=3, top_p=0.5), [0], 30)
        assert sampler.choose(logits_V) == logits_V.argmax()
