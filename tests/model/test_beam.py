"""Beam search against every sequence of a toy vocabulary, and against one without a cache."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
import torch
from tests.helpers.tiny import item, tiny_model, tiny_spec

from sightline.core.errors import ContextOverflow
from sightline.model.beam import beam_search
from sightline.model.generate import Decoding
from sightline.model.reference import reference_logits
from sightline.spec.sampling import Sampling

TOY = 5
LENGTH = 4
PENALTIES = (-1.0, 0.0, 0.5, 1.0, 2.0)
PICTURE = item([4], 1, [0, 4], seed=5)


class Toy:
    """A model over five tokens that remembers its uncached log-probabilities."""

    def __init__(self, stops: tuple[int, ...], seed: int) -> None:
        prompt = {"image": {"id": 3}, "stop_ids": stops}
        self.model = tiny_model(tiny_spec(language={"vocab": TOY}, prompt=prompt), seed)
        self.stops = stops
        self.log_p = cache(self._log_p)

    def _log_p(self, answer: tuple[int, ...]) -> list[float]:
        logits_V = reference_logits(self.model, PICTURE, list(answer))[-1]
        return logits_V.double().log_softmax(-1).tolist()

    def total(self, answer: tuple[int, ...]) -> float:
        return sum(self.log_p(answer[:i])[token] for i, token in enumerate(answer))

    def complete(self, answer: tuple[int, ...], length: int) -> bool:
        ends = [token in self.stops for token in answer]
        return not any(ends[:-1]) and (ends[-1] or len(answer) == length)


@pytest.fixture(scope="module", params=[((1,), 0), ((1, 2), 1), ((), 2)], ids=str)
def toy(request):
    return Toy(*request.param)


def exhaustive(toy, length, penalty):
    """All answers, best first, as (score, total, answer)."""
    answers = [
        answer
        for n in range(1, length + 1)
        for answer in product(range(TOY), repeat=n)
        if toy.complete(answer, length)
    ]
    scored = [(toy.total(a) / len(a) ** penalty, toy.total(a), a) for a in answers]
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_wide_search_finds_the_best_of_all_sequences(toy, penalty):
    length = LENGTH if toy.stops else LENGTH - 1  # at most 64 partial answers
    how = Sampling(max_tokens=length, beams=64, length_penalty=penalty)
    truth = exhaustive(toy, length, penalty)[:64]
    found = beam_search(toy.model, PICTURE, how)
    assert len(found) == len(truth)
    for mine, (score, _, _) in zip(found, truth, strict=True):
        assert mine.score == pytest.approx(score, abs=1e-5)
        assert mine.log_probability == pytest.approx(toy.total(mine.token_ids), abs=1e-5)
    assert found[0].token_ids == truth[0][2]
    assert {h.token_ids for h in found} == {answer for _, _, answer in truth}


def plain_beam_search(toy, width, length, penalty):
    """The same search over uncached probabilities, to the very end."""
    opened, finished = [(0.0, ())], []
    for step in range(1, length + 1):
        grown = [
            (total + log_p, (*answer, token))
            for total, answer in opened
            for token, log_p in enumerate(toy.log_p(answer))
        ]
        grown.sort(reverse=True)
        opened, considered = [], width + len(toy.stops) * len(opened)
        for total, answer in grown[:considered]:
            if answer[-1] in toy.stops or step == length:
                finished.append((total / step**penalty, answer))
            elif len(opened) < width:
                opened.append((total, answer))
    return sorted(finished, reverse=True)[:width]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("width", [2, 3])
def test_narrow_search_equals_one_without_cache_and_early_end(toy, width, penalty):
    length = LENGTH + 1
    how = Sampling(max_tokens=length, beams=width, length_penalty=penalty)
    truth = plain_beam_search(toy, width, length, penalty)
    found = beam_search(toy.model, PICTURE, how)
    assert [h.token_ids for h in found] == [answer for _, answer in truth]
    assert [h.score for h in found] == pytest.approx([score for score, _ in truth], abs=1e-5)


def test_penalties_change_the_order_of_the_toy():
    """Otherwise the comparison over penalties would say nothing."""
    toy = Toy((1,), 0)
    best = {exhaustive(toy, LENGTH, penalty)[0][2] for penalty in PENALTIES}
    assert len({len(answer) for answer in best}) > 1


def test_the_search_stops_once_nothing_can_improve(monkeypatch):
    """A certain stop id ends it before anything is fed back."""
    prompt = {"image": {"id": 3}, "stop_ids": (1,)}
    model = tiny_model(tiny_spec(language={"vocab": TOY, "head_bias": True}, prompt=prompt))
    with torch.no_grad():
        model.language.head.bias[1] += 100.0
    monkeypatch.setattr(Decoding, "step", None)
    [best] = beam_search(model, PICTURE, Sampling(max_tokens=20, beams=1, length_penalty=0.0))
    assert best.token_ids == (1,)


def test_an_answer_that_cannot_fit_is_refused():
    with pytest.raises(ContextOverflow):
        beam_search(Toy((1,), 0).model, PICTURE, Sampling(max_tokens=1000, beams=2))
