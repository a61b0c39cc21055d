"""Held-out loss with and without pictures while training, answers, the best weights, EMA."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.helpers.recipes import STAGE, recipe
from tests.helpers.speaking import parrot, picture, speaking

import sightline
from sightline.core.errors import ContextOverflow, PictureError
from sightline.data.held_out import first_samples
from sightline.data.rows import ConversationMaker, spelled
from sightline.data.sample import Media, Places, Sample, Text, Turn
from sightline.model.prepare import Preparer
from sightline.spec.train import PadSpec, ScenesSpec, WatchSpec
from sightline.train.ema import Ema
from sightline.train.finish import finish
from sightline.train.losses.next_token import next_token
from sightline.train.recipe import read_recipe
from sightline.train.run import Run
from sightline.train.watch import Seen, Watch, under

DATA = {"kind": "scenes", "sides": [16], "questions": 1, "words": 20, "seed": 9}


def watch(vlm, tmp_path, **fields):
    spec = WatchSpec.parse({"data": DATA, "rows": 6, "batch": 4} | fields)
    return Watch(vlm.model, vlm.tokenizer, spec, tmp_path)


def test_losses_are_those_of_the_rows_as_given_and_under_controls(tmp_path):
    vlm = speaking()
    look = watch(vlm, tmp_path)
    seen = look.look()
    maker = ConversationMaker(Preparer(vlm.spec, vlm.tokenizer))
    drawn = first_samples(ScenesSpec.parse(DATA), 6, maker, tmp_path)
    rows = [replace(row, turns=spelled(row.turns, maker.prepare)) for row in drawn]
    assert any(isinstance(p, Places) for row in drawn for turn in row.turns for p in turn.parts)
    for control, loss in (("full", seen.loss), ("blind", seen.blind), ("swapped", seen.swapped)):
        made = [maker.make(under(control, rows, i)) for i in range(6)]
        batch = maker.collate(made, PadSpec())
        with torch.inference_mode():
            truth = next_token(vlm.model, batch).item() / batch.weight
        assert loss == pytest.approx(truth, rel=1e-5)
    assert len({seen.loss, seen.blind, seen.swapped}) == 3
    said = seen.as_dict()
    assert said["blind_gap"] == pytest.approx(seen.blind - seen.loss)


def test_controls_take_pictures_away_and_exchange_them():
    def sample(n):
        parts = (Media("image", f"{n}.png"), Text(f"What is {n}?"))
        return Sample(f"r:{n}", (Turn("user", parts), Turn("assistant", (Text("A star."),))))

    words = Sample("r:9", (Turn("user", (Text("Hello?"),)), Turn("assistant", (Text("Hi."),))))
    samples = [sample(0), sample(1), sample(2), words]
    assert under("full", samples, 1) is samples[1]
    blind = under("blind", samples, 1)
    assert not blind.media and blind.turns[0].text == "What is 1?"
    assert [m.source for m in under("swapped", samples, 0).media] == ["2.png"]
    assert under("swapped", samples, 1) == samples[1]  # the row half the list away has none
    assert not under("swapped", samples, 3).media


def test_a_model_that_does_not_look_has_no_gap(tmp_path):
    seen = watch(parrot("one", "two"), tmp_path).look()
    assert seen.gap(seen.swapped) == pytest.approx(0, abs=1e-5)
    assert "with another" in seen.sentence


def test_questions_are_answered_as_the_model_answers(tmp_path):
    vlm = parrot("one", "two")
    Image.fromarray(picture()).save(tmp_path / "p.png")
    asked = [{"question": "What?"}, {"question": "Where?", "picture": "p.png"}]
    seen = watch(vlm, tmp_path, data=None, questions=asked).look()
    assert seen.answers == ("onetwo", "onetwo") and seen.loss is None
    assert seen.sentence == "“onetwo”, “onetwo”"


def test_looking_changes_neither_the_model_nor_random_numbers(tmp_path):
    vlm = speaking()
    vlm.model.train()
    state = torch.get_rng_state()
    before = {n: p.detach().clone() for n, p in vlm.model.named_parameters()}
    watch(vlm, tmp_path).look()
    assert vlm.model.training and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, before[n]) for n, p in vlm.model.named_parameters())


def test_a_run_writes_what_it_saw_keeps_the_best_and_the_means(tmp_path):
    stages = [STAGE | {"steps": 4, "trains": ["connector", "language"], "ema": 0.5}]
    look = {"every": 2, "data": DATA, "rows": 4, "questions": [{"question": "What?"}],
            "max_tokens": 3}  # fmt: skip
    read = read_recipe(recipe(tmp_path, stages=stages, watch=look, dtype="float32"))
    made, out, told = read.make(), tmp_path / "run", []
    run = Run(made.model, made.tokenizer, read.train, out, told=told.append)
    run()
    assert [path.name for path in finish(made, run)] == ["model", "model-ema"]
    lines = [json.loads(line) for line in (out / "watch.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 3]
    assert sum("without the picture" in line for line in told) == 2
    assert all(len(line["answers"]) == 1 and line["loss"] > 0 for line in lines)
    best = sightline.load(out / "best")
    seen = watch(best, tmp_path, rows=4, batch=16)
    assert seen.look().loss == pytest.approx(min(line["loss"] for line in lines), rel=1e-4)
    plain, means = (load_file(out / n / "model.safetensors") for n in ("model", "model-ema"))
    assert plain.keys() == means.keys()
    differs = {n.partition(".")[0] for n in plain if not torch.equal(plain[n], means[n])}
    assert differs == {"connector", "language"}


def test_the_running_mean_is_the_sum_written_out():
    masters = [torch.zeros(3)]
    ema = Ema(["a"], masters, 0.5)
    mean = torch.zeros(3)
    for step in range(6):
        masters[0] += torch.tensor([1.0, -2.0, 0.5])
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * masters[0]
        torch.testing.assert_close(ema.tensors()["a"], mean)


def test_a_sentence_says_only_what_was_seen():
    assert Seen(1.0, 1.5, None).sentence == "held-out loss 1.0000, +0.5000 without the picture"
    assert Seen(answers=("a",)).sentence == "“a”"


def test_a_mistake_is_seen_before_the_first_step(tmp_path):
    asked = [{"question": "Where?", "picture": "absent.png"}]
    with pytest.raises(PictureError, match=r"absent\.png"):
        watch(speaking(), tmp_path, data=None, questions=asked)
    with pytest.raises(ContextOverflow):
        watch(speaking(), tmp_path, data=None, questions=[{"question": "word " * 600}])
