"""recipes/contrastive.yaml and the scripts beside it, on a handful of pictures."""

from __future__ import annotations

import json
import runpy
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.model.pair_prepare import PairPreparer
from sightline.prompt.files import load_tokenizer
from sightline.spec.pair import PairSpec
from sightline.train.recipe import read_recipe
from sightline.train.run import Run
from sightline.weights import save

RECIPES = Path(__file__).parents[2] / "recipes"
CLASSES, TEMPLATES = ["cat", "truck"], ["a photo of a {}.", "the big {}."]
COPIES = 2


def picture(seed: int) -> Image.Image:
    """Smooth, so that what a copy shows can be recognised."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of two pictures, as the data set has them."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "prompts.json").write_text(json.dumps({"classes": CLASSES, "templates": TEMPLATES}))
    for name in ("train", "test"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for number in range(4):
                file = BytesIO()
                picture(number).save(file, "PNG")
                archive.writestr(f"{CLASSES[number % 2]}/{number:04}.jpg", file.getvalue())
    return folder


def run(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(str(RECIPES / script), run_name="__main__")


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def test_every_picture_and_its_copies_are_captioned(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(monkeypatch, "cifar10_captions.py", data, out, COPIES)
    found = rows(out)
    assert len(found) == 4 * (1 + COPIES) == len({row["id"] for row in found})
    captions = {name: {t.format(name) for t in TEMPLATES} for name in CLASSES}
    for row in found:
        label, number, copy = str(row["id"]).replace("-", "/").split("/")
        assert row["conversations"][1]["value"] in captions[label]  # type: ignore[index]
        shown = np.asarray(Image.open(out / str(row["image"])), dtype=float)
        whole = np.asarray(picture(int(number)), dtype=float)
        assert shown.shape == (32, 32, 3)
        assert np.array_equal(shown, whole) is (copy == "0")
    again = tmp_path / "again"
    run(monkeypatch, "cifar10_captions.py", data, again, COPIES)
    assert rows(again) == found
    words = load_tokenizer(out / "tokenizer")
    ids = words.encode_text("A photo of the big truck.")
    assert len(ids) == 7 and words.id_of("<unknown>") not in ids
    assert words.encode_text("zebra") == [words.id_of("<unknown>")]


def test_the_recipe_reads_the_whole_data_set_s_words(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every class in every template is ids of the recipe's vocabulary, none of them unknown."""
    source = shared_data / "cifar10-mini"
    prompts = json.loads((source / "prompts.json").read_text())
    with zipfile.ZipFile(source / "train.zip") as whole:
        names = sorted(whole.namelist())[::500]
        (tmp_path / "few").mkdir()
        (tmp_path / "few" / "prompts.json").write_text(json.dumps(prompts))
        with zipfile.ZipFile(tmp_path / "few" / "train.zip", "w") as few:
            for name in names:
                few.writestr(name, whole.read(name))
    run(monkeypatch, "cifar10_captions.py", tmp_path / "few", tmp_path / "out", 0)
    spec = PairSpec.parse(read_recipe(RECIPES / "contrastive.yaml").data["model"], field="model")
    words = load_tokenizer(tmp_path / "out" / "tokenizer")
    assert words.vocab_size == spec.text.stack.vocab
    control = (words.id_of("<begin>"), words.id_of("<end>"), words.id_of("<pad>"))
    assert control == (spec.text.bos_id, spec.text.eos_id, spec.text.pad_id)
    prepare = PairPreparer(spec, words)
    for name in prompts["classes"]:
        for template in prompts["templates"]:
            text = prepare.text(template.format(name))
            assert text.cut == 0 and words.id_of("<unknown>") not in text.ids


def test_it_trains_and_is_scored(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    run(monkeypatch, "cifar10_captions.py", data, out, COPIES)
    changes = (
        f"tokenizer={out / 'tokenizer'}",
        f"data.path={out / 'train.jsonl'}",
        "train.workers=0",
        "train.stages.0.steps=2",
        "train.stages.0.batch=4",
        "train.stages.0.schedule.warmup_steps=0",
    )
    read = read_recipe(RECIPES / "contrastive.yaml", changes)
    made = read.make()
    model = Run(made.model, made.tokenizer, read.train, tmp_path / "run", told=lambda _: None)()
    save(model, tmp_path / "pair", tokenizer=made.tokenizer)
    capsys.readouterr()
    run(monkeypatch, "cifar10_zero_shot.py", tmp_path / "pair", data, "--json")
    scores = json.loads(capsys.readouterr().out)
    pair = sightline.load_pair(tmp_path / "pair")
    texts = [TEMPLATES[0].format(name) for name in CLASSES]
    named = pair.logits([picture(number) for number in (0, 2, 1, 3)], texts).argmax(1).tolist()
    right = [found == wanted for found, wanted in zip(named, (0, 0, 1, 1), strict=True)]
    assert scores["one template"] == sum(right) / 4
    assert set(scores) == {"ensemble", "one template"}
