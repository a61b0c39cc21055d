"""recipes/eye-chart.yaml and the script beside it: two models that differ in one choice."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sightline.data.rows import training_row
from sightline.data.sources import open_source
from sightline.data.worlds import eye_chart
from sightline.eval.probes.catalogue import probe
from sightline.model.prepare import Preparer
from sightline.pictures import open_picture
from sightline.prompt.files import load_tokenizer
from sightline.spec.model import ModelSpec
from sightline.spec.train import FilesSpec
from sightline.train.recipe import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = {"large": (6, 64), "tile": (24, 64), "train": (24, 128)}  # rows of 24, side in pixels
FINE = ("model.resolution.max_tiles=4",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the command of the recipe's first lines makes, in small."""
    script = RECIPES / "eye_chart.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "charts"), "24"])
    runpy.run_path(str(script), run_name="__main__")
    return tmp_path / "charts"


def spec_of(changes: Sequence[str] = ()) -> ModelSpec:
    return ModelSpec.parse(read_recipe(RECIPES / "eye-chart.yaml", changes).data["model"])


@pytest.mark.parametrize("name", FILES)
def test_charts_are_laid_out(name: str, folder: Path) -> None:
    count, side = FILES[name]
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == count and [row["kind"] for row in rows[:2]] == ["letter", "object"]
    for row in rows:
        asked, answered = (turn["value"] for turn in row["conversations"])
        assert asked.startswith("<image>\nWhat ") and answered in eye_chart.names(row["kind"])
        assert open_picture(row["image"]).rgb.shape == (side, side, 3)


def test_every_row_fits_the_recipe(folder: Path) -> None:
    recipe = read_recipe(RECIPES / "eye-chart.yaml")
    words = load_tokenizer(folder / "tokenizer")
    for changes in ((), FINE):
        spec = spec_of(changes)
        assert words.vocab_size == spec.language.vocab
        assert words.id_of(spec.prompt.image.text) == spec.prompt.image.id
        ends = [words.id_of(text) for text in ("<|end|>", "<|pad|>")]
        assert ends == [*spec.prompt.stop_ids, spec.prompt.pad_id]
        prepare = Preparer(spec, words)
        stages = [stage.data for stage in recipe.train.stages]
        names = [Path(data.path).stem for data in stages if isinstance(data, FilesSpec)]
        assert names == list(FILES)
        for name in names:
            [opened] = open_source(FilesSpec(path=f"{name}.jsonl"), folder)
            for index in range(FILES[name][0]):
                row = training_row(opened.source.sample(index), prepare)
                ids = row.prepared.token_ids
                assert words.id_of("<|unknown|>") not in ids
                said = words.decode([ids[i] for i, weight in enumerate(row.weights) if weight])
                assert said.split()[0] in [*eye_chart.LETTERS, *eye_chart.names("object")]


def test_the_two_models_differ_in_how_many_tiles_they_take() -> None:
    coarse, fine = spec_of(), spec_of(FINE)
    changed = {**coarse.model_dump()["resolution"], "max_tiles": 4}
    assert fine.model_dump() == {**coarse.model_dump(), "resolution": changed}


@pytest.mark.parametrize(("changes", "views"), [((), {64: 1, 128: 1}), (FINE, {64: 1, 128: 5})])
def test_what_a_picture_becomes(
    changes: Sequence[str], views: dict[int, int], folder: Path
) -> None:
    prepare = Preparer(spec_of(changes), load_tokenizer(folder / "tokenizer"))
    for side, count in views.items():
        picture = {"type": "image", "image": np.zeros((side, side, 3), np.uint8)}
        text = {"type": "text", "text": "What letter is shown?"}
        prepared = prepare([{"role": "user", "content": [picture, text]}])
        assert len(prepared.layout.views) == count
        assert prepared.token_ids.count(4) == 16 * count  # visual tokens


def test_what_the_probes_ask_is_in_the_words_that_are_taught(folder: Path) -> None:
    words = load_tokenizer(folder / "tokenizer")
    for name in ("acuity-glyphs", "acuity-objects"):
        for item in probe(name).items(90):
            ids = words.encode_text(f"{item.question} {item.answer}")
            assert words.id_of("<|unknown|>") not in ids
