"""Trained on one conversation, only the rows that predict an answer move: by gradient."""

# B sequences  T tokens  D width  V vocabulary

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from tests.data.mask_cases import (
    ANSWERS,
    TEMPLATES,
    conversations,
    preparer,
    spans,
    with_picture,
)
from tests.helpers.tiny import tiny_model
from tests.prompt.tokenizers import source, with_control
from torch import Tensor
from torch.testing import assert_close

from sightline.core.errors import DataError
from sightline.data.collate import TrainBatch, padded
from sightline.data.dialects import Context, read_row
from sightline.data.rows import TrainRow, training_row
from sightline.model.prepare import Preparer
from sightline.model.vlm import Vlm
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.train import Dialect
from sightline.train.losses.next_token import next_token

CONVERSATIONS = [
    case for case in conversations(True) if case not in ("preference", "kto", "prompt")
]


def tokenizer() -> Tokenizer:
    return with_control(source("bytes", None))[0]


def logits_gradient(model: Vlm, batch: TrainBatch) -> tuple[Tensor, Tensor]:
    """The model's logits at every token, and the gradient of the loss with respect to them: the
    loss sees a model whose hidden states are those logits."""
    with torch.no_grad():
        logits_BTV = model.language.logits(model(batch.batch))
    logits_BTV.requires_grad_()
    as_logits = SimpleNamespace(logits=lambda rows: rows)
    fake: Any = _Fixed(logits_BTV, as_logits)
    next_token(cast(Vlm, fake), batch).backward()
    assert logits_BTV.grad is not None
    return logits_BTV.detach(), logits_BTV.grad


class _Fixed:
    def __init__(self, hidden: Tensor, language: Any) -> None:
        self._hidden, self.language = hidden, language

    def __call__(self, batch: Any) -> Tensor:
        return self._hidden


def row_of(case: str, prepare: Preparer, folder: Path, system: bool = True) -> TrainRow:
    dialect, row = conversations(system)[case]
    return training_row(read_row(dialect, row, Context("rows.jsonl:1", folder)), prepare)


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_rows_that_predict_an_answer_have_a_gradient(name: str, tmp_path: Path) -> None:
    folder = with_picture(tmp_path)
    template = TEMPLATES[name]
    prepare = preparer(template, tokenizer())
    model = tiny_model(prepare.spec)
    for case in CONVERSATIONS:
        row = row_of(case, prepare, folder, template.system)
        batch = padded([row], prepare.spec.prompt.pad_id)
        logits_BTV, grad_BTV = logits_gradient(model, batch)
        predicts = [*row.prepared.targets[1:], False]
        moved = (grad_BTV[0] != 0).any(-1).tolist()
        assert moved == predicts, case
        assert_close(grad_BTV[0], _by_hand(logits_BTV[0], row), rtol=1e-6, atol=1e-7)


def _by_hand(logits_TV: Tensor, row: TrainRow) -> Tensor:
    """Softmax minus the answer's token, at the rows before answer tokens: autograd of the formula
    written out, one token at a time."""
    leaf_TV = logits_TV.clone().requires_grad_()
    total = torch.zeros(())
    rows = [t for t, target in enumerate(row.prepared.targets) if target]
    for t in rows:
        total = total - leaf_TV[t - 1].log_softmax(-1)[row.prepared.token_ids[t]]
    total.backward()
    assert leaf_TV.grad is not None
    return leaf_TV.grad


def test_the_model_s_hidden_states_move_there_alone(tmp_path: Path) -> None:
    """With the real model: its last hidden states have a gradient at these rows and no others."""
    folder = with_picture(tmp_path)
    prepare = preparer(TEMPLATES["qwen2-vl"], tokenizer())
    model = tiny_model(prepare.spec)
    rows = [row_of("openai", prepare, folder), row_of("caption", prepare, folder)]
    batch = padded(rows, prepare.spec.prompt.pad_id)
    seen = _Watched(model)
    next_token(cast(Vlm, seen), batch).backward()
    moved_BT = (seen.hidden_BTD.grad != 0).any(-1)
    for moved, row in zip(moved_BT.tolist(), rows, strict=True):
        predicts = [*row.prepared.targets[1:], False]
        assert moved == predicts + [False] * (len(moved) - len(predicts))


class _Watched:
    def __init__(self, model: Vlm) -> None:
        self._model, self.language = model, model.language

    def __call__(self, batch: Any) -> Tensor:
        self.hidden_BTD = self._model(batch)
        self.hidden_BTD.retain_grad()
        return self.hidden_BTD


def weighted(first: float, last: float) -> dict[str, tuple[Dialect, dict[str, Any]]]:
    """Rows whose two answers count this much."""

    def answers(key: str, told: Any, asked: Any) -> list[dict[str, Any]]:
        return [
            {"role": "user", "content": asked("One?")},
            {"role": "assistant", "content": told(ANSWERS[0]), key: first},
            {"role": "user", "content": asked("Two?")},
            {"role": "assistant", "content": told(ANSWERS[1]), key: last},
        ]

    def typed(text: str) -> list[dict[str, str]]:
        return [{"type": "text", "value": text}]

    return {
        "openai": ("openai", {"messages": answers("weight", str, str)}),
        "axolotl": ("openai", {"messages": answers("train", str, str)}),
        "swift": ("swift", {"messages": answers("loss_scale", str, str)}),
        "v1": ("llamafactory", {"messages": answers("loss_weight", typed, typed)}),
    }


@pytest.mark.parametrize("case", weighted(0, 1))
def test_an_answer_of_weight_0_is_no_target(case: str) -> None:
    template, words = TEMPLATES["llava-interleave"], tokenizer()
    prepare = preparer(template, words)
    model = tiny_model(prepare.spec)
    for weights in ((0, 1), (1, 0)):
        dialect, row = weighted(*weights)[case]
        made = training_row(read_row(dialect, row, Context("r:1")), prepare)
        [kept] = [span for span, weight in zip(template.written, weights, strict=True) if weight]
        taught = tuple(weight > 0 for weight in made.weights)
        assert spans(_with_targets(made, taught), words) == (kept,)
        _, grad_BTV = logits_gradient(model, padded([made], 0))
        assert (grad_BTV[0] != 0).any(-1).tolist() == [*taught[1:], False]


def _with_targets(row: TrainRow, taught: tuple[bool, ...]) -> Any:
    return SimpleNamespace(targets=list(taught), token_ids=row.prepared.token_ids)


@pytest.mark.parametrize("case", ["openai", "swift", "v1"])
def test_a_weight_scales_the_gradient_of_its_answer(case: str) -> None:
    prepare = preparer(TEMPLATES["llava-interleave"], tokenizer())
    model = tiny_model(prepare.spec)

    def gradient(*weights: float) -> Tensor:
        dialect, row = weighted(*weights)[case]
        made = training_row(read_row(dialect, row, Context("r:1")), prepare)
        return logits_gradient(model, padded([made], 0))[1]

    apart = 0.5 * gradient(1, 0) + 2.0 * gradient(0, 1)
    assert_close(gradient(0.5, 2.0), apart, rtol=1e-6, atol=1e-7)


def test_swift_s_loss_false_is_weight_0() -> None:
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": ANSWERS[0], "loss": False},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": ANSWERS[1], "loss": True},
    ]
    sample = read_row("swift", {"messages": messages}, Context("r:1"))
    assert [turn.weight for turn in sample.turns if turn.role == "assistant"] == [0.0, 1.0]


@pytest.mark.parametrize("case", ["preference", "kto", "prompt"])
def test_rows_for_other_losses_are_not_trained_on_as_conversations(
    case: str, tmp_path: Path
) -> None:
    folder = with_picture(tmp_path)
    prepare = preparer(TEMPLATES["qwen2-vl"], tokenizer())
    with pytest.raises(DataError, match=r"rows\.jsonl:1: is a .* row, not a conversation"):
        row_of(case, prepare, folder)
