"""Opening files as a recipe names them: kinds, dialects, paths, what is taken, faults by row."""

from __future__ import annotations

import gzip
import io
import json
import multiprocessing
import pickle
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.core.errors import DataError, SpecError
from sightline.data.sample import Media, Sample, Text
from sightline.data.sources import Opened, check_media, open_source
from sightline.data.sources.take import taken
from sightline.spec.train import FilesSpec, ScenesSpec


def llava(number: int, picture: str | None = None) -> dict[str, Any]:
    asked = f"What is number {number}?"
    turns = [
        {"from": "human", "value": f"<image>\n{asked}" if picture else asked},
        {"from": "gpt", "value": f"It is {number}."},
    ]
    return {"id": str(number), **({"image": picture} if picture else {}), "conversations": turns}


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_picture(path: Path, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)
    return path


def opened(folder: Path, path: str, **fields: Any) -> Opened:
    [one] = open_source(FilesSpec(path=path, **fields), folder)
    return one


def samples(one: Opened) -> list[Sample]:
    return [one.source.sample(index) for index in range(one.source.num_rows)]


def answers(one: Opened) -> list[str]:
    return [sample.turns[-1].text for sample in samples(one)]


def ids(one: Opened) -> list[str]:
    return [sample.id for sample in samples(one)]


def test_a_file_is_recognised_and_said_aloud(tmp_path: Path) -> None:
    write_lines(tmp_path / "data" / "train.jsonl", [llava(n, "a/1.png") for n in range(1200)])
    one = opened(tmp_path, "data/train.jsonl", repeat=2, weight=0.5)
    assert one.notes == ("reads 1,200 rows of data/train.jsonl as llava",)
    assert (one.weight, one.repeat, one.source.num_rows) == (0.5, 2, 1200)
    sample = one.source.sample(16)
    assert sample.id == "data/train.jsonl:17"
    assert sample.turns[0].parts == (
        Media("image", tmp_path / "data" / "a" / "1.png"),
        Text("What is number 16?"),
    )


def test_pictures_are_looked_for_where_the_recipe_says(tmp_path: Path, monkeypatch: Any) -> None:
    write_lines(tmp_path / "train.jsonl", [llava(1, "1.png")])
    (tmp_path / "recipe" / "near").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path)
    for media, found in (("near", "recipe/near"), ("far", "far")):
        one = opened(tmp_path / "recipe", "train.jsonl", media=media)
        assert one.source.sample(0).media[0].source == tmp_path / found / "1.png"
    with pytest.raises(DataError, match="nowhere: does not exist") as caught:
        opened(tmp_path / "recipe", "train.jsonl", media="nowhere")
    assert str(tmp_path / "recipe" / "nowhere") in caught.value.fix
    with pytest.raises(DataError, match=r"media: train.jsonl is a file"):
        opened(tmp_path, "train.jsonl", media="train.jsonl")


def test_a_path_is_looked_for_beside_the_recipe_first(tmp_path: Path, monkeypatch: Any) -> None:
    write_lines(tmp_path / "recipe" / "a.jsonl", [llava(1)])
    write_lines(tmp_path / "a.jsonl", [llava(2)])
    write_lines(tmp_path / "b.jsonl", [llava(3)])
    monkeypatch.chdir(tmp_path)
    found = [opened(tmp_path / "recipe", path) for path in ("a.jsonl", "b.jsonl")]
    assert [answers(one) for one in found] == [["It is 1."], ["It is 3."]]


def test_pictures_without_a_placeholder_stand_first_if_the_recipe_says_so(tmp_path: Path) -> None:
    row = llava(1, "p.png")
    row["conversations"][0]["value"] = "What?"
    write_lines(tmp_path / "a.jsonl", [row])
    first = opened(tmp_path, "a.jsonl", media_first=True).source.sample(0)
    assert first.turns[0].parts == (Media("image", tmp_path / "p.png"), Text("What?"))
    with pytest.raises(DataError, match=r"a.jsonl:1 images: 0 <image> in the text for 1"):
        opened(tmp_path, "a.jsonl").source.sample(0)


NOT_FOUND = [
    ("missing.jsonl", "does not exist"),
    ("https://example.org/a.jsonl", "nothing is fetched"),
    ("a.xlsx", "of no known kind"),
    ("none*.jsonl", "matches no file"),
    ("{5..1}.tar", "counts 5..1"),
]


@pytest.mark.parametrize(("path", "says"), NOT_FOUND)
def test_what_cannot_be_opened_is_named(tmp_path: Path, path: str, says: str) -> None:
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(DataError, match=says) as caught:
        opened(tmp_path, path)
    assert caught.value.field == path


def test_the_same_rows_from_every_kind_of_file(tmp_path: Path) -> None:
    """Parquet, Arrow and hub data sets: test_sources_arrow.py."""
    rows = [llava(n) for n in range(30)]
    text = "".join(json.dumps(row) + "\r\n" for row in rows)
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number, row in enumerate(rows):
            data = json.dumps(row).encode()
            info = tarfile.TarInfo(f"{number:04}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    kinds = [opened(tmp_path, name) for name in ("a.json", "a.jsonl", "a.jsonl.gz", "a.tar")]
    said = [[(s.turns, s.columns) for s in samples(one)] for one in kinds]
    assert said[0][7][0][1].text == "It is 7." and said[0][7][1] == {"id": "7"}
    assert all(other == said[0] for other in said[1:])


def read_all(sent: bytes) -> list[tuple[str, str]]:
    return [(s.id, s.turns[-1].text) for s in samples(pickle.loads(sent))]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_reads_the_same(tmp_path: Path, method: str) -> None:
    write_lines(tmp_path / "a.jsonl", [llava(n) for n in range(50)])
    one = opened(tmp_path, "a.jsonl", take="random:20")
    here = [(s.id, s.turns[-1].text) for s in samples(one)]  # files were open in this process
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(read_all, (pickle.dumps(one),)) == here


def test_three_bad_rows_among_a_thousand_are_named(tmp_path: Path) -> None:
    """Not JSON, no mapping, and a placeholder without a picture: 997 rows stay readable."""
    lines = [json.dumps(llava(n, "p.png")) for n in range(1000)]
    lines[16] = lines[16][:40]
    lines[500] = "[1, 2, 3]"
    bad = llava(998)
    bad["conversations"][0]["value"] = "<image>\nWhat?"
    lines[998] = json.dumps(bad)
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    one = opened(tmp_path, "train.jsonl")
    errors: dict[int, DataError] = {}
    read: list[str] = []
    for index in range(one.source.num_rows):
        try:
            read.append(one.source.sample(index).id)
        except DataError as error:
            errors[index] = error
    assert {i: e.field.split()[0] for i, e in errors.items()} == {
        16: "train.jsonl:17",
        500: "train.jsonl:501",
        998: "train.jsonl:999",
    }
    said = [error.problem for error in errors.values()]
    assert "is not JSON" in said[0] and "is a list" in said[1] and "<image>" in said[2]
    assert len(read) == len(set(read)) == 997


def test_bad_rows_at_the_start_do_not_hide_the_dialect(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{\n[]\n" + json.dumps(llava(1)) + "\n")
    assert opened(tmp_path, "a.jsonl").notes == ("reads 3 rows of a.jsonl as llava",)
    (tmp_path / "b.jsonl").write_text("{\n[]\n")
    with pytest.raises(DataError, match=r"b.jsonl:1: is not JSON"):
        opened(tmp_path, "b.jsonl")


def test_rows_further_on_tell_the_dialect_too(tmp_path: Path) -> None:
    """Conversations in words alone read alike in most dialects."""
    rows = [llava(n) for n in range(300)]
    for row in rows[150:]:
        row["images"] = ["p.png"]
        row["conversations"][0]["value"] = "What is it? <image>"
    write_lines(tmp_path / "a.jsonl", rows)
    one = opened(tmp_path, "a.jsonl")
    assert one.notes == ("reads 300 rows of a.jsonl as sharegpt",)
    assert one.source.sample(299).media[0].source == tmp_path / "p.png"
    write_lines(tmp_path / "b.jsonl", [*rows[150:], {"image": "p.png", "text": "a cup"}])
    with pytest.raises(DataError, match=r"b.jsonl: are of different dialects"):
        opened(tmp_path, "b.jsonl")


def test_a_dialect_that_nobody_knows_is_named_with_its_file(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"foo": 1}])
    with pytest.raises(DataError, match=r"a.jsonl: have the keys foo"):
        opened(tmp_path, "a.jsonl")
    write_lines(tmp_path / "b.jsonl", [{"pic": "1.png", "words": "a cup"}])
    columns = {"image": "pic", "text": "words"}
    one = opened(tmp_path, "b.jsonl", dialect="caption", columns=columns)
    assert answers(one) == ["a cup"]


TAKEN = [
    ("all", list(range(10))),
    ("first:3", [0, 1, 2]),
    ("end:3", [7, 8, 9]),
    ("first:25%", [0, 1, 2]),  # rounded up, as LLaVA-NeXT does
    ("end:100%", list(range(10))),
]


@pytest.mark.parametrize(("take", "wanted"), TAKEN)
def test_what_is_taken(tmp_path: Path, take: str, wanted: list[int]) -> None:
    write_lines(tmp_path / "a.jsonl", [llava(n) for n in range(10)])
    one = opened(tmp_path, "a.jsonl", take=take)
    assert ids(one) == [f"a.jsonl:{n + 1}" for n in wanted]


def test_a_random_share_follows_from_the_seed(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [llava(n) for n in range(200)])
    spec = FilesSpec(path="a.jsonl", take="random:40")
    picks = [ids(open_source(spec, tmp_path, seed)[0]) for seed in (0, 0, 1)]
    assert picks[0] == picks[1] != picks[2]
    assert len(set(picks[0])) == 40
    numbers = [int(name.split(":")[1]) for name in picks[0]]
    assert numbers == sorted(numbers) and 60 < sum(numbers) / 40 < 140
    counts = [0] * 20
    for seed in range(400):
        for row in taken("random:5", 20, "a", seed):
            counts[row] += 1
    assert 65 < min(counts) and max(counts) < 140  # 100 each


@pytest.mark.parametrize("take", ["first:11", "end:11", "random:11", "first:0", "end:0%"])
def test_more_rows_than_there_are_is_refused(tmp_path: Path, take: str) -> None:
    write_lines(tmp_path / "a.jsonl", [llava(n) for n in range(10)])
    with pytest.raises(DataError, match=r"take: .* of the 10 rows of a.jsonl"):
        opened(tmp_path, "a.jsonl", take=take)
    with pytest.raises(SpecError, match="take"):
        FilesSpec(path="a.jsonl", take="last:3")


def test_scenes_are_samples_without_end(tmp_path: Path) -> None:
    [one] = open_source(ScenesSpec(seed=3, sides=(32,), weight=2), tmp_path)
    assert (one.weight, one.source.num_rows) == (2, None)
    far = one.source.sample(10**9)
    assert far.id == "scenes-3:1000000000" and far.media[0].source.shape == (32, 32, 3)
    same = pickle.loads(pickle.dumps(one)).source.sample(10**9)
    assert [t.text for t in same.turns] == [t.text for t in far.turns]


def test_media_are_probed_and_each_fault_is_named(tmp_path: Path) -> None:
    good = write_picture(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:20])
    (tmp_path / "words.png").write_text("no picture")
    row = llava(1, "good.png")
    row["image"] = ["good.png", "cut.png", "words.png", "missing.png"]
    row["conversations"][0]["value"] = "<image><image><image><image>What?"
    write_lines(tmp_path / "a.jsonl", [row, llava(2, "good.png")])
    one = opened(tmp_path, "a.jsonl")
    faults = check_media(one.source.sample(0))
    assert [error.field for error in faults] == ["a.jsonl:1"] * 3
    assert "cut.png" in faults[0].problem and "words.png" in faults[1].problem
    assert "missing.png" in faults[2].problem and "cannot be read" in faults[2].problem
    assert check_media(one.source.sample(1)) == ()


def test_pictures_of_the_rejected_side_are_probed(tmp_path: Path) -> None:
    turns = open_source(ScenesSpec(sides=(32,)), tmp_path)[0].source.sample(0).turns
    lost = (type(turns[0])("user", (Media("image", tmp_path / "no.png"),)), *turns[1:])
    [fault] = check_media(Sample("row", turns, rejected=lost))
    assert "no.png" in fault.problem


def test_rows_in_a_random_order_are_the_same_rows(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [llava(n) for n in range(100)])
    one = opened(tmp_path, "a.jsonl", take="end:50%")
    order = list(range(50))
    random.Random(1).shuffle(order)
    assert [one.source.sample(i).id for i in order] == [f"a.jsonl:{51 + i}" for i in order]
