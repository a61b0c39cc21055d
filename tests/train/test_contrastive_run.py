"""A recipe that trains a pair: new, gone on with, stopped and resumed, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.helpers.pairs import BASE, LIKE_CLIP, LIKE_SIGLIP, byte_words, merged

import sightline
from sightline.core.errors import TrainError
from sightline.eval.pairs import retrieval
from sightline.model.pair import Pair
from sightline.model.pair_prepare import PairPreparer, collate_pairs
from sightline.prompt.files import save_tokenizer
from sightline.train.finish import finish
from sightline.train.losses.contrastive import contrastive
from sightline.train.recipe import read_recipe
from sightline.train.run import Run

WORDS = ("red", "green", "blue", "grey", "pink", "black")
COLOURS = ((220, 20, 20), (20, 200, 20), (20, 20, 220), (128, 128, 128), (250, 150, 180), (5, 5, 5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six plain pictures, named, and a recipe beside them."""
    save_tokenizer(byte_words(), tmp_path / "tokenizer")
    with (tmp_path / "rows.jsonl").open("w") as file:
        for name, colour in zip(WORDS, COLOURS, strict=True):
            Image.fromarray(np.full((10, 10, 3), colour, np.uint8)).save(tmp_path / f"{name}.png")
            turns = [
                {"from": "human", "value": "<image>"},
                {"from": "gpt", "value": name},
            ]
            row = {"id": name, "image": f"{name}.png", "conversations": turns}
            file.write(json.dumps(row) + "\n")
    return tmp_path


def recipe(folder: Path, model: Any, **stage: Any) -> Path:
    data = {
        "model": model,
        "data": {"kind": "files", "path": "rows.jsonl"},
        "train": {
            "dtype": "float32",
            "workers": 0,
            "log_every": 10,
            "checkpoint_every": 10,
            "stages": [
                {
                    "kind": "contrastive",
                    "steps": 40,
                    "batch": 6,
                    "lr": 0.01,
                    "schedule": {"warmup_steps": 2},
                    **stage,
                }
            ],
        },
    }
    if isinstance(model, dict):
        data["tokenizer"] = "tokenizer"
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def trained(path: Path, out: Path, *changes: str, told: list[str] | None = None) -> Pair:
    read = read_recipe(path, changes)
    made = read.make()
    say = print if told is None else told.append
    run = Run(made.model, made.tokenizer, read.train, out, read.folder, told=say)
    model = run()
    assert list(finish(made, run)) == [out / "model"]
    assert isinstance(model, Pair)
    return model


def new(kind: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "pair", **merged(BASE, kind)}


@pytest.mark.parametrize("kind", [LIKE_CLIP, LIKE_SIGLIP], ids=["softmax", "sigmoid"])
def test_a_pair_learns_to_name_colours(kind: dict[str, Any], folder: Path) -> None:
    trained(recipe(folder, new(kind)), folder / "run")
    pair = sightline.load_pair(folder / "run" / "model")
    shown = [folder / f"{name}.png" for name in WORDS]
    found = retrieval(pair.encode_images(shown), pair.encode_texts(WORDS), ks=(1,))
    assert found.image_to_text == {1: 1.0} == found.text_to_image
    lines = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert lines[-1]["mfu"] > 0


def test_a_run_that_was_cut_ends_with_the_same_weights(folder: Path) -> None:
    """Cut after 18 of 30 steps; the checkpoint of step 10 goes on."""
    path = recipe(folder, new(LIKE_CLIP), steps=30, batch=2)
    whole = trained(path, folder / "whole").state_dict()
    read = read_recipe(path)
    made = read.make()

    def stop(step: Any) -> None:
        if step.step == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(
            made.model,
            made.tokenizer,
            read.train,
            folder / "cut",
            read.folder,
            told=lambda _: None,
            watchers=(stop,),
        )()
    told: list[str] = []
    resumed = trained(path, folder / "cut", told=told).state_dict()
    assert told[0].startswith("resumed from")
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name


def test_a_saved_pair_goes_on_and_a_frozen_tower_stays(folder: Path) -> None:
    """A locked image tower, as LiT has it (Zhai et al. 2022)."""
    trained(recipe(folder, new(LIKE_CLIP), steps=5), folder / "first")
    before = sightline.load_pair(folder / "first" / "model").model.state_dict()
    path = recipe(folder, "first/model", steps=5, trains=["language", "connector"])
    after = trained(path, folder / "second").state_dict()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor) is name.startswith("vision."), name


def test_micro_batches_are_compared_each_for_itself(folder: Path) -> None:
    """The loss of an update is the mean over rows of two comparisons of three."""
    once = {"steps": 1, "batch": 3, "accumulate": 2, "schedule": {"warmup_steps": 0}}
    read = read_recipe(recipe(folder, new(LIKE_CLIP), **once))
    made, steps = read.make(), []
    run = Run(
        made.model,
        made.tokenizer,
        read.train,
        folder / "run",
        read.folder,
        watchers=(steps.append,),
    )
    run()
    [step] = steps
    fresh = read.make().model
    assert isinstance(fresh, Pair)
    prepare = PairPreparer(fresh.spec, made.tokenizer)
    names = [WORDS[int(row.rpartition(":")[2]) - 1] for row in step.ids]
    rows = [prepare(folder / f"{name}.png", name, id=name) for name in names]
    halves = [collate_pairs(fresh.spec, half) for half in (rows[:3], rows[3:])]
    wanted = sum(contrastive(fresh, half).item() for half in halves) / 6
    assert step.loss == pytest.approx(wanted, rel=1e-5)
    assert step.loss != pytest.approx(
        contrastive(fresh, collate_pairs(fresh.spec, rows)).item() / 6
    )


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    with pytest.raises(TrainError, match="use kind: contrastive"):
        trained(recipe(folder, new(LIKE_CLIP), kind="align"), folder / "a")
    whole = Path(sightline.__file__).parent / "embedded" / "tiny"
    with pytest.raises(sightline.SightlineError, match="not a pair"):
        trained(recipe(folder, str(whole)), folder / "b")
    watch = "train.watch={every: 5, questions: [{question: Why}]}"
    with pytest.raises(TrainError, match="watch: asks a model that answers"):
        trained(recipe(folder, new(LIKE_CLIP)), folder / "c", watch)
