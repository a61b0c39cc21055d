"""Visual evidence: nothing for a blind model, and what a hand computation gives otherwise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.helpers.speaking import assistant, parrot, picture, speaking, user

from sightline.core.errors import PromptError
from sightline.model.answer import Evidence
from sightline.model.evidence import visual_evidence
from sightline.model.reference import reference_logits

MESSAGES = [user(picture(), "Is it red?"), assistant("a ring"), user(picture(5, 9, 1), "Why?")]
BLIND = [user("Is it red?"), assistant("a ring"), user("Why?")]


def by_hand(vlm: Any, messages: Any, answer: list[int], pixels: float | None = None) -> float:
    """Mean log p of the answer's tokens, one forward pass per token."""
    prepared = vlm.prepare(messages)
    if pixels is not None:
        for view in prepared.pixels:
            view.fill_(pixels)
    total = 0.0
    for n, token in enumerate(answer):
        logits = reference_logits(vlm.model, prepared, answer[:n])[-1].double()
        total += float(logits[token]) - math.log(float(logits.exp().sum()))
    return total / len(answer)


def test_equals_a_hand_computation() -> None:
    vlm = speaking(seed=2)
    said = vlm.ask(MESSAGES, evidence=True, max_tokens=5)
    answer = list(said.token_ids)
    told = by_hand(vlm, MESSAGES, answer)
    assert said.evidence is not None
    assert said.evidence.without == pytest.approx(told - by_hand(vlm, BLIND, answer), abs=1e-5)
    assert said.evidence.grey == pytest.approx(told - by_hand(vlm, MESSAGES, answer, 0), abs=1e-5)
    assert min(abs(said.evidence.without), abs(said.evidence.grey)) > 1e-3


def test_is_zero_where_the_visual_rows_are_equal() -> None:
    """With a connector of zeros every picture is the grey one; that some is there still counts."""
    vlm = speaking(seed=2)
    with torch.no_grad():
        for p in vlm.model.connector.parameters():
            p.zero_()
    found = visual_evidence(vlm.model, vlm.speaker.prepare, MESSAGES, [9, 10, 11])
    assert found.grey == 0 and abs(found.without) > 1e-3


def test_is_zero_for_a_model_that_ignores_visual_rows() -> None:
    found = parrot(" yes", " it is").ask(MESSAGES, evidence=True).evidence
    assert found == Evidence(without=pytest.approx(0, abs=1e-6), grey=0.0)


def test_is_zero_without_a_picture() -> None:
    assert speaking().ask("Why?", evidence=True, max_tokens=4).evidence == Evidence(0.0, 0.0)


def test_a_message_of_pictures_alone_has_no_words_to_keep() -> None:
    vlm = speaking()
    assert vlm.ask([user(picture()), user("Why?")], evidence=True, max_tokens=2).evidence
    with pytest.raises(PromptError, match="words"):
        vlm.ask([user(picture())], evidence=True, max_tokens=2)
