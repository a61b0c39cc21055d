"""The scripts beside recipes/easy-vqa.yaml and recipes/vqa-rad.yaml lay out every question."""

from __future__ import annotations

import json
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.rows import training_row
from sightline.data.sources import open_source
from sightline.eval.tasks.rows import RowsTask
from sightline.model.prepare import Preparer
from sightline.prompt.files import load_tokenizer
from sightline.spec.model import ModelSpec
from sightline.spec.train import FilesSpec
from sightline.train.recipe import read_recipe

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"

EASY = {
    "train": [["what shape?", "circle", 0], ["is it red?", "yes", 0], ["is it blue?", "no", 0],
              ["what color?", "red", 0], ["is it red?", "no", 1]],
    "test": [["what color?", "blue", 0], ["what shape?", "triangle", 0], ["is it red?", "no", 0]],
}  # fmt: skip
RAD = {
    "train": [("a.jpg", "Is this a CT?", "Yes", "CLOSED "), ("b.jpg", "How many?", 2, "OPEN"),
              ("a.jpg", "What is it?", "An MRI", "OPEN")],
    "test": [("a.jpg", "Is it normal?", "No", "CLOSED"), ("b.jpg", "Where?", "Left", "OPEN")],
}  # fmt: skip


def lay_out(name: str, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command of the recipe's first lines does."""
    script = RECIPES / f"{name.replace('-', '_')}.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(data), str(folder)])
    runpy.run_path(str(script), run_name="__main__")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def asked(path: Path) -> Counter[tuple[str, str, str]]:
    """(file name of the picture, question, answer) of every turn."""
    found: Counter[tuple[str, str, str]] = Counter()
    for row in rows(path):
        says = [turn["value"].removeprefix("<image>\n") for turn in row["conversations"]]
        assert row["conversations"][0]["value"].startswith("<image>\n")
        pairs = zip(says[::2], says[1::2], strict=True)
        found.update((Path(row["image"]).name, *pair) for pair in pairs)
    return found


def test_easy_vqa_is_laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, folder = tmp_path / "data", tmp_path / "out"
    for split, questions in EASY.items():
        (data / split / "images").mkdir(parents=True)
        (data / split / "questions.json").write_text(json.dumps(questions))
        for number in (0, 1):
            Image.new("RGB", (4, 4)).save(data / split / "images" / f"{number}.png")
    lay_out("easy-vqa", data, folder, monkeypatch)
    assert asked(folder / "train.jsonl") == Counter((f"{n}.png", q, a) for q, a, n in EASY["train"])
    named = asked(folder / "names.jsonl")
    assert named == Counter(
        {("0.png", "what shape?", "circle"): 1, ("0.png", "what color?", "red"): 1}
    )
    sizes = [len(row["conversations"]) // 2 for row in rows(folder / "train.jsonl")]
    assert sorted(sizes) == [1, 2, 2]
    items = RowsTask(str(folder / "test.jsonl")).items()
    assert [(i.kind, i.question, i.answer) for i in items] == [
        ("colour", "what color?", "blue"),
        ("shape", "what shape?", "triangle"),
        ("yes or no", "is it red?", "no"),
    ]


def test_vqa_rad_is_laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, folder = tmp_path / "data", tmp_path / "out"
    (data / "images").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        Image.new("L", (4, 4)).save(data / "images" / name)
    fields = ("image_name", "question", "answer", "answer_type")
    for split, found in RAD.items():
        entries = [dict(zip(fields, entry, strict=True)) for entry in found]
        (data / f"{split}set.json").write_text(json.dumps(entries))
    lay_out("vqa-rad", data, folder, monkeypatch)
    train = Counter((name, question, str(answer)) for name, question, answer, _ in RAD["train"])
    assert asked(folder / "train.jsonl") == train
    items = RowsTask(str(folder / "test.jsonl")).items()
    assert [(i.kind, i.question, i.answer) for i in items] == [
        ("closed", "Is it normal?", "No"),
        ("open", "Where?", "Left"),
    ]


@pytest.mark.parametrize("name", ["easy-vqa", "vqa-rad"])
def test_the_whole_set_fits_its_recipe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    lay_out(name, shared_data / name, tmp_path, monkeypatch)
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    spec, words = ModelSpec.parse(recipe.data["model"]), load_tokenizer(tmp_path / "tokenizer")
    assert words.vocab_size == spec.language.vocab
    assert words.id_of(spec.prompt.image.text) == spec.prompt.image.id
    assert [words.id_of(text) for text in ("<|end|>", "<|pad|>")] == [
        *spec.prompt.stop_ids, spec.prompt.pad_id]  # fmt: skip
    stages = [stage.data for stage in recipe.train.stages]
    names = {Path(data.path).name for data in stages if isinstance(data, FilesSpec)}
    assert "train.jsonl" in names and "test.jsonl" not in names
    prepare = Preparer(spec, words)
    for file in names:
        [opened] = open_source(FilesSpec(path=file), tmp_path)
        for index in range(0, opened.source.num_rows, 997):
            row = training_row(opened.source.sample(index), prepare)
            said = words.decode([row.prepared.token_ids[i] for i, w in enumerate(row.weights) if w])
            assert said.strip() and "unknown" not in said
