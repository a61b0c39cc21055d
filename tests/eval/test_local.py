"""A model of this process as something that answers: the same as asking it directly."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.eval.controls import Full, conversation
from sightline.eval.item import Choice
from sightline.eval.local import LocalModel, weights_digest
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.metrics.metric import Metric
from sightline.eval.run import Asking, run
from sightline.eval.tasks.scenes import ScenesTask
from sightline.model.reference import reference_logits

TASK = ScenesTask(seed=4)
ITEMS = TASK.items(12)
TINY = Path(sightline.__file__).parent / "embedded" / "tiny"


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return LocalModel.open("tiny")


def asked(index: int) -> list[dict[str, Any]]:
    return conversation(ITEMS, index, Full())


def test_answers_are_those_of_the_model(model: LocalModel) -> None:
    found = model.answers([asked(i) for i in range(len(ITEMS))], max_tokens=192)
    direct = [model.vlm.ask(asked(i), max_tokens=192) for i in range(len(ITEMS))]
    assert [one.text for one in found] == [answer.text for answer in direct]
    assert [one.boxes for one in found] == [answer.boxes for answer in direct]
    for one, answer in zip(found, direct, strict=True):
        used = answer.usage
        assert (one.text_tokens, one.visual_tokens) == (used.text_tokens, used.visual_tokens)
        assert one.answer_tokens == used.answer_tokens and one.finish == answer.finish
        language = model.vlm.spec.language
        tokens = one.text_tokens + one.visual_tokens + one.answer_tokens
        assert one.kv_bytes == language.kv_bytes(tokens, bytes_per_value=2)


def test_evidence_is_that_of_an_answer(model: LocalModel) -> None:
    [said] = model.answers([asked(0)], max_tokens=192)
    answer = model.vlm.ask(asked(0), max_tokens=192, evidence=True)
    assert answer.evidence is not None
    assert model.evidence(asked(0), said) == answer.evidence.without
    found = run(model, TASK, ITEMS[:2], Asking((Full(),), evidence=True))
    assert found.said["full"][0].evidence == round(model.evidence(asked(0), said), 6)


def test_options_are_weighed_by_the_reference() -> None:
    exact = LocalModel.open("tiny", dtype="float32")
    vlm, options = exact.vlm, ("A", "red", "a small blue star")
    prepared = vlm.prepare(asked(1))
    expected = []
    for option in options:
        ids, total = [token.id for token in vlm.tokenizer.encode(option)], 0.0
        for place, token in enumerate(ids):
            logits_TV = reference_logits(vlm.model, prepared, ids[:place])
            total += float(torch.log_softmax(logits_TV[-1], -1)[token])
        expected.append(total)
    assert exact.option_log_p(asked(1), options) == pytest.approx(expected, abs=1e-4)
    [letter] = exact.option_log_p(asked(1), options[:1])
    assert letter == pytest.approx(expected[0], abs=1e-4)


@dataclass(frozen=True)
class Lettered(ScenesTask):
    @property
    def metric(self) -> Metric:
        return ByLetter()


def test_a_choice_is_the_likeliest_letter(model: LocalModel) -> None:
    items = [replace(item, truth=Choice(("x", "y", "z"), 1)) for item in ITEMS[:3]]
    letters: Any = SimpleNamespace(name="letters", metric=ByLetter(), max_tokens=4)
    result = run(model, letters, items, Asking((Full(),), choose="likelihood"))
    for index, said in enumerate(result.said["full"]):
        log_p = dict(zip("ABC", model.option_log_p(asked(index), "ABC"), strict=True))
        assert said.text == max(log_p, key=lambda letter: log_p[letter])
        prepared = model.vlm.prepare(asked(index))
        assert (said.text_tokens, said.visual_tokens) == (prepared.text_tokens, 64)
        assert said.kv_bytes > 0 and said.answer_tokens == 1


def test_a_question_that_cannot_be_taken_fails_alone(model: LocalModel) -> None:
    long = [{"role": "user", "content": "red " * 3000}]
    found = model.answers([asked(0), long, asked(1)], max_tokens=8)
    assert [one.failure is None for one in found] == [True, False, True]
    assert str(found[1].failure).startswith("ContextOverflow: ")
    assert found[0] == model.answers([asked(0)], max_tokens=8)[0]


def test_identity_knows_the_weights(model: LocalModel, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(TINY, copy)
    assert LocalModel.open(str(copy)).identity == model.identity
    path = next(copy.glob("*.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert weights_digest(copy) != model.identity["weights"]
    assert model.identity["weights"] == weights_digest(TINY)


def test_pictures_are_prepared_as_they_are_everywhere(model: LocalModel) -> None:
    picture = ITEMS[0].media[0].source
    assert isinstance(picture, np.ndarray)
    own = model.vlm.prepare(asked(0))
    other = model.vlm.prepare([{"role": "user", "content": asked(0)[0]["content"]}])
    assert own.token_ids == other.token_ids
    assert all(torch.equal(a, b) for a, b in zip(own.pixels, other.pixels, strict=True))
