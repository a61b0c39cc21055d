"""What pairs of towers are judged by: a pair that sees shades, and figures by hand."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from PIL import Image
from tests.eval.tasks.published_files import png, write_parquet
from tests.helpers.pairs import LIKE_CLIP, byte_words, random_pair
from torch import Tensor

from sightline.core.errors import DataError
from sightline.eval.statistics import figure
from sightline.eval.tasks.matching import (
    CIFAR10,
    FLICKR30K_RETRIEVAL,
    IMAGENET,
    MATCHING,
    WINOGROUND_MATCHING,
    MatchingTask,
    ZeroShotTask,
)
from sightline.model.matcher import Matcher
from sightline.pictures import open_picture

# Shades of grey lie on a quarter circle: 0 is at 0 degrees, 255 at 90.


class Shades:
    """A pair that knows how bright pictures are, and each text by a shade of its own."""

    def __init__(self, shades: Mapping[str, float]) -> None:
        self.shades = shades

    def encode_images(self, pictures: Sequence[Any]) -> Tensor:
        return at([float(open_picture(one).rgb.mean()) for one in pictures])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return at([self.shades[text] for text in texts])


def at(shades: Sequence[float]) -> Tensor:
    turns = torch.tensor(shades) / 255 * torch.pi / 2
    return torch.stack([turns.cos(), turns.sin()], 1)


def figures(task: MatchingTask, shades: Mapping[str, float]) -> dict[str, float]:
    tallies = task.tallies(cast(Matcher, Shades(shades)))
    return {tally.name: figure(tally, resamples=20).value for tally in tallies}


NIGHT_DAY = {"a photo of a night.": 0.0, "a photo of a day.": 255.0}
SHADES = {"night": (0, 60, 200), "day": (255, 190)}  # 200 is named wrongly
WANTED = {"accuracy": 0.8, "night": pytest.approx(2 / 3), "day": 1.0}


def as_table(path: Path, image: str, label: str, names: Sequence[str] | None) -> Path:
    """Parquet, with the names of classes where `datasets` writes them."""
    import pyarrow
    from pyarrow import parquet

    rows = [
        {image: png(shade), label: number}
        for number, name in enumerate(("night", "day"))
        for shade in SHADES[name]
    ]
    table = pyarrow.Table.from_pylist(rows)
    if names:
        kind = {"names": names, "_type": "ClassLabel"}
        info = {"info": {"features": {image: {"_type": "Image"}, label: kind}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)
    return path


def test_cifar10_as_published(tmp_path: Path) -> None:
    as_table(tmp_path / "plain_text/test-00000-of-00001.parquet", "img", "label", ("night", "day"))
    assert figures(CIFAR10.open(tmp_path), NIGHT_DAY) == WANTED


def test_imagenet_as_published(tmp_path: Path) -> None:
    file = tmp_path / "data/validation-00000-of-00001.parquet"
    as_table(file, "image", "label", ("night", "day"))
    assert figures(IMAGENET.open(tmp_path), NIGHT_DAY) == WANTED
    assert figures(IMAGENET.open(file), NIGHT_DAY) == WANTED


def test_prompts_name_classes_and_templates(tmp_path: Path) -> None:
    """Two templates a class: their mean is what the single one was."""
    as_table(tmp_path / "test.parquet", "img", "label", None)
    prompts = {"classes": ["moon", "sun"], "templates": ["one {}", "the {}"]}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    shades = {"one moon": -20.0, "the moon": 20.0, "one sun": 235.0, "the sun": 275.0}
    wanted = {"accuracy": 0.8, "moon": WANTED["night"], "sun": 1.0}
    assert figures(CIFAR10.open(tmp_path), shades) == wanted


def folders(root: Path) -> Path:
    for name, shades in SHADES.items():
        (root / name).mkdir(parents=True)
        for shade in shades:
            (root / name / f"{shade}.png").write_bytes(png(shade)["bytes"])
    return root


def zipped(file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, shades in SHADES.items():
            for shade in shades:
                archive.writestr(f"{name}/{shade}.png", png(shade)["bytes"])
    return file


def test_folders_and_archives(tmp_path: Path) -> None:
    """Classes are then in the order of the alphabet."""
    wanted = {name: WANTED[name] for name in ("accuracy", "day", "night")}
    inside = tmp_path / "with zip"
    inside.mkdir()
    for path in (folders(tmp_path / "folders"), zipped(tmp_path / "a.zip")):
        assert figures(ZeroShotTask(path), NIGHT_DAY) == wanted
    zipped(inside / "test.zip")
    assert figures(CIFAR10.open(inside), NIGHT_DAY) == wanted


IDS = {"night": "n01440764", "day": "n00007846"}  # day is first in the order of ids


def wordnet(root: Path, names: Mapping[str, str] = IDS) -> Path:
    for name in folders(root).iterdir():
        name.rename(root / names[name.name])
    return root


@pytest.mark.parametrize("classes", [["day", "night"], {"n01440764": "night", "n00007846": "day"}])
def test_wordnet_ids_are_put_into_words(tmp_path: Path, classes: Any) -> None:
    """By their order, or by name."""
    (wordnet(tmp_path) / "prompts.json").write_text(json.dumps({"classes": classes}))
    assert figures(IMAGENET.open(tmp_path), NIGHT_DAY) == WANTED


def test_wordnet_ids_are_no_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has the class n00007846, which is no word.*prompts.json"):
        figures(IMAGENET.open(wordnet(tmp_path)), NIGHT_DAY)
    (tmp_path / "prompts.json").write_text('{"classes": ["day", "night", "moon"]}')
    with pytest.raises(DataError, match="is of class 'n00007846', and 3 others are named"):
        figures(IMAGENET.open(tmp_path), NIGHT_DAY)


def test_other_folders_are_not_matched_by_their_order(tmp_path: Path) -> None:
    root = wordnet(tmp_path, {"night": "dark", "day": "light"})
    prompts = root / "prompts.json"
    prompts.write_text('{"classes": ["night", "day"]}')
    with pytest.raises(DataError, match="is of class 'dark', and 2 others are named"):
        figures(ZeroShotTask(root), NIGHT_DAY)
    prompts.write_text('{"classes": {"light": "day", "dark": "night"}}')
    assert figures(ZeroShotTask(root), NIGHT_DAY) == WANTED


def test_numbers_in_rows_are_put_into_words_by_a_mapping(tmp_path: Path) -> None:
    as_table(tmp_path / "test.parquet", "img", "label", None)
    prompts = tmp_path / "prompts.json"
    prompts.write_text('{"classes": {"1": "day", "0": "night"}}')
    assert figures(CIFAR10.open(tmp_path), NIGHT_DAY) == WANTED
    prompts.write_text('{"classes": {"1": "day", "2": "night"}}')
    with pytest.raises(DataError, match="is of class 0, and 2 others are named"):
        figures(CIFAR10.open(tmp_path), NIGHT_DAY)


def named(error: pytest.ExceptionInfo[DataError]) -> tuple[str, str]:
    return error.value.field, error.value.problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"label": -1}, "label is empty: its authors keep the answers of this split"),
        ({"label": None}, "has no label (it has image, label)"),
        ({"image": None}, "has no image (it has image, label)"),
        ({"label": 7}, "is of class 7, and 2 others are named"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    rows = [{"image": png(0), "label": 0}, {"image": png(1), "label": 1} | change]
    write_parquet(tmp_path / "validation-0.parquet", rows)
    (tmp_path / "prompts.json").write_text('{"classes": ["night", "day"]}')
    with pytest.raises(DataError) as error:
        figures(IMAGENET.open(tmp_path), NIGHT_DAY)
    assert named(error) == ("validation-0.parquet:2", problem)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (folders(tmp_path) / "night/60.png").write_bytes(png(60)["bytes"][:-30])
    with pytest.raises(DataError) as error:
        figures(ZeroShotTask(tmp_path), NIGHT_DAY)
    assert error.value.field == "night/60.png"
    file = zipped(tmp_path / "a.zip")
    file.write_bytes(file.read_bytes().replace(png(60)["bytes"], png(61)["bytes"]))
    with pytest.raises(DataError, match="cannot be unpacked") as error:
        figures(ZeroShotTask(file), NIGHT_DAY)
    assert error.value.field == "a.zip/night/60.png"


@pytest.mark.parametrize(
    ("prompts", "field", "problem"),
    [
        ('{\n"classes": ["night",\n}', "prompts.json:3", "is no JSON"),
        ('["night", "day"]', "prompts.json", "is not classes and templates"),
        ('{"classes": ["night", "night"]}', "prompts.json", "classes has 'night' twice"),
        ('{"classes": {"a": "x", "b": "x"}}', "prompts.json", "classes has 'x' twice"),
        ('{"templates": []}', "prompts.json", "templates is no list of texts"),
        ('{"classes": ["night"]}', "day/190.png", "is of class 'day', and 1 others are named"),
    ],
)
def test_bad_prompts_are_named(tmp_path: Path, prompts: str, field: str, problem: str) -> None:
    (folders(tmp_path) / "prompts.json").write_text(prompts)
    with pytest.raises(DataError, match=problem) as error:
        figures(ZeroShotTask(tmp_path), NIGHT_DAY)
    assert error.value.field == field


def test_classes_without_names_and_empty_folders_are_refused(tmp_path: Path) -> None:
    file = as_table(tmp_path / "test.parquet", "img", "label", None)
    with pytest.raises(DataError, match="no file names classes") as error:
        figures(CIFAR10.open(tmp_path), NIGHT_DAY)
    assert error.value.field == "test.parquet:1"
    file.unlink()
    with pytest.raises(DataError, match="holds no pictures"):
        figures(CIFAR10.open(tmp_path), NIGHT_DAY)
    (tmp_path / "test.zip").write_text("no archive")
    with pytest.raises(DataError, match="cannot be unpacked") as error:
        figures(CIFAR10.open(tmp_path), NIGHT_DAY)
    assert error.value.field == "test.zip"


# Three pictures at 0, 100 and 250, two texts each.
TEXTS = {"a": 5.0, "b": 10.0, "c": 140.0, "d": 94.0, "e": 105.0, "f": 90.0}
CAPTIONS = (("a", "b"), ("c", "d"), ("e", "f"))


def flickr_row(number: int, **change: Any) -> dict[str, Any]:
    return {
        "image": png((0, 100, 250)[number]),
        "caption": list(CAPTIONS[number]),
        "sentids": [str(2 * number), str(2 * number + 1)],
        "img_id": str(number),
        "filename": f"{number}.jpg",
        **change,
    }


def test_flickr30k_retrieval_by_hand(tmp_path: Path) -> None:
    """Pictures: 0 finds its a. 100 finds e, which is not its own, before d. 250 finds c, which is
    not its own, before e. Texts: a and b find 0, c and d find 100; e finds 100 before its own 250,
    and so does f."""
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", [flickr_row(n) for n in range(3)])
    found = figures(FLICKR30K_RETRIEVAL.open(tmp_path), TEXTS)
    assert found == {
        "image to text R@1": pytest.approx(1 / 3),
        "image to text R@5": 1.0,
        "image to text R@10": 1.0,
        "text to image R@1": pytest.approx(4 / 6),
        "text to image R@5": 1.0,
        "text to image R@10": 1.0,
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"caption": []}, "caption is empty"),
        ({"caption": ["a", " "]}, "caption has an empty text"),
        ({"caption": None}, "has no caption"),
        ({"image": None}, "has no image"),
    ],
)
def test_a_bad_flickr_row_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    write_parquet(tmp_path / "test-0.parquet", [flickr_row(0), flickr_row(1, **change)])
    with pytest.raises(DataError, match=problem) as error:
        figures(FLICKR30K_RETRIEVAL.open(tmp_path), TEXTS)
    assert error.value.field == "test-0.parquet:2"


def test_winoground_by_hand(tmp_path: Path) -> None:
    """The first is right. In the second, picture 120 is nearer to caption 140 than to its own of
    90, while each caption is nearest to its picture. In the third, caption 94 is nearer to picture
    100 than to its own of 0, while each picture is nearest to its caption. The fourth is as the
    second."""
    rows = [
        {"image_0": png(0), "image_1": png(200), "caption_0": "a", "caption_1": "c"},
        {"image_0": png(120), "image_1": png(130), "caption_0": "f", "caption_1": "c"},
        {"image_0": png(0), "image_1": png(100), "caption_0": "d", "caption_1": "e"},
    ]
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", [*rows, rows[1]])
    found = figures(WINOGROUND_MATCHING.open(tmp_path), TEXTS)
    assert found == {"group score": 0.25, "text score": 0.5, "image score": 0.75}


def test_a_real_pair_runs_each_task(tmp_path: Path) -> None:
    matcher = Matcher(random_pair(LIKE_CLIP).eval(), byte_words())
    file = io.BytesIO()
    Image.new("RGB", (9, 7), (10, 90, 200)).save(file, "JPEG")
    jpeg = {"bytes": file.getvalue(), "path": "x.jpg"}
    row = {"image": jpeg, "img": jpeg, "label": 0, "caption": ["a b", "b a"]}
    row |= {"image_0": jpeg, "image_1": png(3), "caption_0": "a b", "caption_1": "b a"}
    write_parquet(tmp_path / "test.parquet", [row, row | {"image": png(9), "label": 1}])
    (tmp_path / "prompts.json").write_text('{"classes": ["b", "a"]}')
    for benchmark in MATCHING:
        tallies = benchmark.open(tmp_path / "test.parquet").tallies(matcher)
        assert all(0 <= figure(tally, resamples=20).value <= 1 for tally in tallies)
