"""Mixture files of other kits: LLaVA-NeXT, InternVL and LLaMA-Factory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.test_sources_open import answers, ids, llava, samples, write_lines, write_picture

from sightline.core.errors import DataError
from sightline.data.sources import Opened, open_source
from sightline.spec.train import FilesSpec


def opened(folder: Path, path: str, **fields: Any) -> tuple[Opened, ...]:
    return open_source(FilesSpec(path=path, **fields), folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "mix" / "a.jsonl", [llava(n, "p.png") for n in range(10)])
    (tmp_path / "mix" / "b.json").write_text(json.dumps([llava(n) for n in range(7)]))
    write_picture(tmp_path / "pictures" / "p.png")
    return tmp_path


def test_llava_next_takes_as_its_strategies_say(folder: Path) -> None:
    (folder / "mix" / "mix.yaml").write_text("""
datasets:
- json_path: a.jsonl
- {json_path: a.jsonl, sampling_strategy: "first:25%"}
- {json_path: b.json, sampling_strategy: "end:2"}
- {json_path: b.json, sampling_strategy: "random:50%"}
""")
    sources = opened(folder, "mix/mix.yaml", media="pictures", repeat=3, weight=2.7)
    assert [one.source.num_rows for one in sources] == [10, 3, 2, 4]
    assert ids(sources[2]) == ["b.json:6", "b.json:7"]
    assert answers(sources[1]) == ["It is 0.", "It is 1.", "It is 2."]
    assert sources[0].source.sample(0).media[0].source == folder / "pictures" / "p.png"
    assert [one.repeat for one in sources] == [3] * 4
    weights = [one.weight for one in sources]
    assert weights == pytest.approx([2.7 * rows / 19 for rows in (10, 3, 2, 4)])
    assert sources[1].notes == ("reads 3 rows (first:25% of 10) of a.jsonl as llava",)


NEXT = [
    ("datasets: []", "mix.yaml: has no list of datasets"),
    ("a: b: c", "mix.yaml: yaml cannot be read"),
    ("datasets: [{sampling_strategy: all}]", r"datasets.0.json_path: is missing"),
    ("datasets: [7]", r"datasets.0: is not a mapping"),
    ("datasets: [{json_path: a.jsonl, image: x}]", r"datasets.0: has 'image', which is not"),
    ("datasets: [{json_path: a.jsonl, sampling_strategy: last}]", r"datasets.0.sampling_strategy"),
    ("datasets: [{json_path: a.jsonl, sampling_strategy: 'first:11'}]", "of the 10 rows of a.json"),
    ("datasets: [{json_path: no.jsonl}]", r"no.jsonl: does not exist"),
]


@pytest.mark.parametrize(("text", "says"), NEXT)
def test_what_a_next_mixture_gets_wrong_is_named(folder: Path, text: str, says: str) -> None:
    (folder / "mix" / "mix.yaml").write_text(text)
    with pytest.raises(DataError, match=says):
        opened(folder, "mix/mix.yaml")


def test_patterns_in_a_mixture_are_looked_for_in_all_its_folders(folder: Path) -> None:
    write_lines(folder / "mix" / "c-2.jsonl", [llava(2)])
    write_lines(folder / "c-1.jsonl", [llava(1)])
    write_lines(folder / "d-1.jsonl", [llava(3)])
    (folder / "mix" / "mix.yaml").write_text("""
datasets:
- json_path: "{c-1,c-2}.jsonl"
- json_path: c-*.jsonl
- json_path: d-*.jsonl
""")
    sources = opened(folder, "mix/mix.yaml")
    assert [ids(one) for one in sources] == [
        ["c-1.jsonl:1", "c-2.jsonl:1"], ["c-2.jsonl:1"], ["d-1.jsonl:1"]
    ]  # fmt: skip
    meta(folder, annotation="c-?.jsonl")
    assert ids(opened(folder, "mix/meta.json")[0]) == ["c-2.jsonl:1"]
    meta(folder, annotation="none-*.jsonl")
    with pytest.raises(DataError, match=r"none-.*matches no file") as caught:
        opened(folder, "mix/meta.json")
    looked = (folder / "mix", folder, Path().absolute())
    assert caught.value.fix == f"check the pattern; looked in {' or '.join(map(str, looked))}"


def test_take_beside_a_mixture_file_is_refused(folder: Path) -> None:
    (folder / "mix" / "mix.yaml").write_text("datasets: [{json_path: a.jsonl}]")
    with pytest.raises(DataError, match=r"take: first:3 stands beside mix/mix.yaml"):
        opened(folder, "mix/mix.yaml", take="first:3")


def meta(folder: Path, **entry: Any) -> None:
    first = {"root": "../pictures", "annotation": "a.jsonl", "data_augment": False} | entry
    second = {"root": "", "annotation": "mix/b.json", "repeat_time": 0.5, "length": 8}
    (folder / "mix" / "meta.json").write_text(json.dumps({"vqa": first, "text": second}, indent=2))


def test_internvl_repeats_and_cuts_as_its_meta_says(folder: Path) -> None:
    rows = [llava(n, "p.png") for n in range(10)]
    rows[4]["conversations"][0]["value"] = "What?"  # InternVL puts the picture first
    write_lines(folder / "mix" / "a.jsonl", rows)
    meta(folder, repeat_time=4, length=10)
    first, second = opened(folder, "mix/meta.json", repeat=2)
    assert (first.repeat, first.source.num_rows) == (8, 10)
    assert (second.repeat, second.source.num_rows) == (2, 3)  # int(7 * 0.5)
    assert first.source.sample(4).media[0].source == folder / "mix" / ".." / "pictures" / "p.png"
    assert first.source.sample(4).turns[0].text == "What?"
    assert second.notes[1] == "mix/meta.json text says 8 rows, its file has 7"
    assert len(first.notes) == 1


META = [
    ({"data_augment": True}, r"vqa.data_augment: asks for augmented pictures"),
    ({"max_dynamic_patch": 6}, r"vqa.max_dynamic_patch: limits the tiles"),
    ({"repeat_time": 0}, r"vqa.repeat_time: is 0"),
    ({"repeat_time": True}, r"vqa.repeat_time: is True"),
    ({"repeat_time": 0.01}, "first:0 asks for 0 of the 10 rows"),
    ({"root": "nowhere"}, "nowhere: does not exist"),
    ({"annotation": "no.jsonl"}, r"no.jsonl: does not exist"),
    ({"fps": 2}, r"vqa: has 'fps', which is not known"),
]


@pytest.mark.parametrize(("entry", "says"), META)
def test_what_a_meta_asks_for_and_is_not_done_is_refused(
    folder: Path, entry: dict[str, Any], says: str
) -> None:
    meta(folder, **entry)
    with pytest.raises(DataError, match=says):
        opened(folder, "mix/meta.json")


ALPACA = {"prompt": "q", "response": "a"}
INFO: dict[str, Any] = {
    "talks": {
        "file_name": "talks.json",
        "formatting": "sharegpt",
        "columns": {"messages": "chat", "images": "pics"},
        "tags": {"role_tag": "role", "content_tag": "text", "user_tag": "u", "assistant_tag": "a"},
    },
    "alpaca": {"file_name": "alpaca.jsonl", "columns": ALPACA},
    "pairs": {
        "file_name": "pairs.jsonl",
        "ranking": True,
        "columns": {"prompt": "q", "chosen": "good", "rejected": "bad"},
    },
    "judged": {"file_name": "judged.jsonl", "columns": {"response": "output", "kto_tag": "ok"}},
    "few": {"file_name": "alpaca.jsonl", "columns": ALPACA, "num_samples": 2},
    "many": {"file_name": "alpaca.jsonl", "columns": ALPACA, "num_samples": 9},
}


@pytest.fixture
def info(tmp_path: Path) -> Path:
    data = tmp_path / "lf"
    talks = [{"chat": [{"role": "u", "text": "<image>What?"}, {"role": "a", "text": "A cup."}],
              "pics": ["p/1.png"]}]  # fmt: skip
    data.mkdir()
    (data / "talks.json").write_text(json.dumps(talks))
    write_lines(data / "alpaca.jsonl", [{"q": f"{n}?", "a": f"{n}."} for n in range(6)])
    write_lines(data / "pairs.jsonl", [{"q": "Q?", "good": "yes", "bad": "no"}])
    write_lines(data / "judged.jsonl", [{"instruction": "Q?", "output": "yes", "ok": False}])
    (data / "dataset_info.json").write_text(json.dumps(INFO))
    return tmp_path


def lf(folder: Path, entry: str, **fields: Any) -> Opened:
    [one] = opened(folder, f"lf/dataset_info.json#{entry}", **fields)
    return one


def test_llama_factory_entries_read_as_they_say(info: Path) -> None:
    talks = lf(info, "talks")
    assert talks.notes == ("reads 1 row of lf/dataset_info.json#talks as sharegpt",)
    [sample] = samples(talks)
    assert sample.id == "talks.json:1" and sample.turns[1].text == "A cup."
    assert sample.media[0].source == info / "lf" / "p" / "1.png"
    assert answers(lf(info, "alpaca")) == [f"{n}." for n in range(6)]
    pair = lf(info, "pairs").source.sample(0)
    assert (pair.kind, pair.turns[-1].text, pair.rejected[-1].text) == ("preference", "yes", "no")
    judged = lf(info, "judged").source.sample(0)
    assert (judged.kind, judged.desirable) == ("judged", False)


def test_llama_factory_samples_as_many_as_asked(info: Path) -> None:
    few, many = lf(info, "few"), lf(info, "many", repeat=2)
    assert (few.source.num_rows, few.repeat) == (2, 1)
    assert (many.source.num_rows, many.repeat) == (6, 3)
    assert lf(info, "alpaca", take="first:1").source.num_rows == 1
    with pytest.raises(DataError, match="num_samples: stands beside take"):
        lf(info, "few", take="first:1")


ENTRIES = [
    ({}, r"#x: names neither file_name nor hf_hub_url"),
    ({"script_url": "x"}, "has 'script_url', which is not read"),
    ({"ms_hub_url": "x"}, "names neither"),
    ({"file_name": "alpaca.jsonl", "split": "test"}, "split: is 'test', but a file has no splits"),
    ({"file_name": "alpaca.jsonl", "subset": "x"}, "subset: is for data sets of a hub"),
    ({"file_name": "alpaca.jsonl", "formatting": "x"}, "formatting: is 'x'"),
    ({"file_name": "alpaca.jsonl", "columns": {"nope": "q"}}, "columns: name 'nope'"),
    ({"file_name": "alpaca.jsonl", "columns": ["q"]}, "columns: is not a mapping of texts"),
    ({"file_name": "alpaca.jsonl", "num_samples": 0}, "num_samples: is 0"),
    ({"file_name": "no.jsonl"}, r"no.jsonl: does not exist"),
    ({"hf_hub_url": "a/b", "num_samples": 3}, "num_samples: needs the number of rows"),
]


@pytest.mark.parametrize(("entry", "says"), ENTRIES)
def test_what_an_entry_gets_wrong_is_named(info: Path, entry: dict[str, Any], says: str) -> None:
    (info / "lf" / "dataset_info.json").write_text(json.dumps({"x": entry}))
    with pytest.raises(DataError, match=says):
        lf(info, "x").source.sample(0)


def test_the_entry_must_be_named(info: Path) -> None:
    with pytest.raises(DataError, match="has no entry 'no'") as caught:
        lf(info, "no")
    assert "talks, alpaca" in caught.value.fix
    with pytest.raises(DataError, match="is one mapping") as caught:
        opened(info, "lf/dataset_info.json")
    assert "path#name" in caught.value.fix
    with pytest.raises(DataError, match="lf: holds the data sets talks, alpaca") as caught:
        opened(info, "lf")
    assert "lf/dataset_info.json#talks" in caught.value.fix
