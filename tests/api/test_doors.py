"""load, build, save and export as users call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.helpers.speaking import chat_spec, picture, speaking, tokenizer, user

import sightline
from sightline.core.errors import FamilyError, FolderError, PromptError, SpecError
from sightline.nn.packed import unpack

MESSAGES = [user(picture(), "Is it red?")]
EMBEDDED = Path(sightline.__file__).parent / "embedded" / "tiny" / "model.safetensors"


def test_a_folder_comes_back_bit_by_bit(tmp_path: Path) -> None:
    vlm = speaking()
    vlm.save(tmp_path / "one", card="# tiny\n")
    again = sightline.load(tmp_path / "one")
    assert again.ask(MESSAGES, max_tokens=9).token_ids == vlm.ask(MESSAGES, max_tokens=9).token_ids
    again.save(tmp_path / "two")
    after = again.ask(MESSAGES, max_tokens=9)
    assert after.token_ids == vlm.ask(MESSAGES, max_tokens=9).token_ids
    third = sightline.load(str(tmp_path / "two"))
    unpack(third.model)
    for (name, a), (_, b) in zip(
        vlm.model.named_parameters(), third.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    assert json.loads(third.tokenizer.source) == json.loads(vlm.tokenizer.source)


def test_build_is_a_function_of_spec_and_seed(tmp_path: Path) -> None:
    spec = chat_spec()
    a, b, other = (sightline.build(spec, tokenizer=tokenizer(), seed=seed) for seed in (1, 1, 2))
    prepared = a.prepare(MESSAGES)
    assert torch.equal(a.logits(prepared), b.logits(prepared))
    assert not torch.equal(a.logits(prepared), other.logits(prepared))
    a.save(tmp_path)
    from_folder = sightline.build(spec, tokenizer=tmp_path, seed=1, dtype="bfloat16")
    assert from_folder.model.dtype == torch.bfloat16
    assert from_folder.prepare(MESSAGES).token_ids == prepared.token_ids


def test_logits_are_float_at_every_position() -> None:
    vlm = speaking()
    prepared = vlm.prepare(MESSAGES)
    logits = vlm.logits(prepared)
    assert logits.dtype == torch.float32
    assert logits.shape == (len(prepared.token_ids), vlm.spec.language.vocab)
    assert vlm.ask(MESSAGES, max_tokens=1).token_ids == (int(logits[-1].argmax()),)


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="nowhere"):
        sightline.load(tmp_path / "nowhere")
    with pytest.raises(FolderError, match="empty"):
        sightline.load(tmp_path)
    speaking().save(tmp_path)
    with pytest.raises(SpecError, match="dtype"):
        sightline.load(tmp_path, dtype="int7")
    with pytest.raises(SpecError, match="device"):
        sightline.load(tmp_path, device="toaster")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(PromptError, match="tokenizer"):
        sightline.load(tmp_path)


def test_an_export_that_the_format_cannot_express_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FamilyError):
        speaking(connector={"depth": 3}).export(tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(not EMBEDDED.is_file(), reason="the embedded model is not in this tree")
def test_the_embedded_model_answers_and_points() -> None:
    from sightline.data.worlds import scenes
    from sightline.eval.controls import Blind, Full
    from sightline.eval.local import LocalModel
    from sightline.eval.run import Asking, run
    from sightline.eval.tasks.scenes import ScenesTask

    task = ScenesTask(seed=99)
    items = task.items(20 * len(scenes.KINDS))
    result = run(LocalModel.open("tiny"), task, items, Asking((Full(), Blind())))
    full, blind = (
        sum(task.metric.scores(items, said)) / len(items) for said in result.said.values()
    )
    assert full > 0.85
    assert full - blind > 0.5
