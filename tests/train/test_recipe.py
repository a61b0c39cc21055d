"""Recipes: changes, relative paths, and those that take hours carried out in small.

Recipes of architectures are small as they are: tests/train/test_architectures.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.helpers.recipes import recipe
from tests.helpers.speaking import VOCAB, chat_spec, saved, speaking, tokenizer

from sightline.core.errors import SightlineError, SpecError
from sightline.prompt.files import save_tokenizer
from sightline.spec.model import ModelSpec
from sightline.spec.pair import PairSpec
from sightline.spec.train import TrainSpec
from sightline.train.recipe import cpu_threads, read_recipe
from sightline.train.run import Run

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
LONG = [path for path in RECIPES if path.stem == "tiny"]
SMALL: dict[str, Any] = {
    "model.vision.width": 32,
    "model.vision.depth": 1,
    "model.vision.mlp_width": 16,
    "model.language.vocab": VOCAB,
    "model.language.width": 32,
    "model.language.depth": 1,
    "model.language.attention.head_dim": 8,
    "model.language.mlp.width": 16,
}


def shrunk(path: Path, folder: Path) -> list[str]:
    """Changes to a shipped recipe: tiny parts, two steps a stage."""
    data = yaml.safe_load(path.read_text())
    saved(speaking(), folder)
    changes = {"train.workers": 0, "train.log_every": 1}
    model = data["model"]
    if "from" in model["vision"]:
        changes |= {f"model.{part}.from": str(folder) for part in ("vision", "language")}
    else:
        changes |= SMALL | {"tokenizer": str(folder)}
    for index in range(len(data["train"]["stages"])):
        stage = f"train.stages.{index}"
        changes |= {f"{stage}.steps": 2, f"{stage}.batch": 2, f"{stage}.schedule.warmup_steps": 0}
    return [f"{name}={value}" for name, value in changes.items()]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    read = read_recipe(path)
    assert TrainSpec.from_yaml(read.train.to_yaml()) == read.train
    if isinstance(read.data["model"], str):  # a folder to go on with
        assert read.spec() and read.make().model
    elif read.is_pair:
        pair = PairSpec.parse(read.data["model"])
        assert PairSpec.from_yaml(pair.to_yaml()) == pair
    elif "from" not in read.data["model"]["vision"]:
        spec = ModelSpec.parse(read.data["model"])
        assert ModelSpec.from_yaml(spec.to_yaml()) == spec


@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
def test_long_recipes_run(path: Path, tmp_path: Path) -> None:
    read = read_recipe(path, shrunk(path, tmp_path / "words"))
    made = read.make()
    run = tmp_path / "run"
    Run(made.model, made.tokenizer, read.train, run, told=lambda _: None)()
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * len(read.train.stages)
    assert [line["stage"] for line in lines[::2]] == list(range(len(read.train.stages)))


def test_there_are_recipes() -> None:
    assert "tiny" in [path.stem for path in RECIPES]


def test_changes_reach_mappings_and_lists(tmp_path: Path) -> None:
    path = recipe(tmp_path)
    read = read_recipe(path, ["train.seed=7", "train.stages.1.lr=1e-3", "model.connector.depth=1",
                              "train.stages.0.trains=[language]", "train.stages.0.data.words=30",
                              "model.language.attention.qk_norm=rms"])  # fmt: skip
    train = read.train
    assert (train.seed, train.stages[1].lr, train.stages[0].lr) == (7, 0.001, 0.01)
    assert list(train.stages[0].trains) == ["language"] and train.stages[0].data.words == 30
    model = read.make().model
    assert model.spec.connector.depth == 1 and model.spec.language.attention.qk_norm == "rms"
    assert read_recipe(path).train.seed == 0


def test_a_new_model_is_a_function_of_its_seed(tmp_path: Path) -> None:
    path = recipe(tmp_path, dtype="float32")
    same, again = read_recipe(path).make().model, read_recipe(path).make().model
    other = read_recipe(path, ["train.seed=1"]).make().model
    for a, b in zip(same.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b) and a.dtype == torch.float32
    embeddings = (same.language.embed.weight, other.language.embed.weight)
    assert not torch.equal(*embeddings)
    assert read_recipe(path, ["train.dtype=bfloat16"]).make().model.dtype == torch.bfloat16


def test_the_tokenizer_lies_beside_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = read_recipe(recipe(tmp_path / "inner")).make().tokenizer
    assert words.encode_text("red star") == tokenizer().encode_text("red star")
    (tmp_path / "far").mkdir()
    save_tokenizer(tokenizer(), tmp_path / "far")
    read_recipe(tmp_path / "inner" / "mini.yaml", [f"tokenizer={tmp_path / 'far'}"]).make()


@pytest.mark.parametrize(
    ("change", "field"),
    [("model=null", "model"), ("train.stages.0.kind=sing", "train.stages.0.kind"),
     ("train.stages.0.data.kind=dreams", "train.stages.0.data"),
     ("train.stages.0.data.words=1", "train.stages.0.data.words"),
     ("model.prompt.image.id=9999", "model.prompt.image.id"),
     ("model.resolution.size=2", "model.resolution.size"), ("train.lr=3", "train.lr")],
)  # fmt: skip
def test_a_wrong_field_is_named(change: str, field: str, tmp_path: Path) -> None:
    with pytest.raises(SightlineError) as caught:
        read_recipe(recipe(tmp_path), [change]).make()
    assert caught.value.field == field and caught.value.fix


def test_threads() -> None:
    before = torch.get_num_threads()
    cpu_threads(None)
    assert torch.get_num_threads() == before
    with pytest.raises(SpecError, match="threads"):
        cpu_threads(0)


def test_the_miniature_is_the_speaking_model(tmp_path: Path) -> None:
    assert read_recipe(recipe(tmp_path)).make().model.spec == chat_spec()
