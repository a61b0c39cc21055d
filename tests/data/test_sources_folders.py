"""Folders: of row files, of pictures with captions, and what is refused about them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data.test_sources_open import answers, ids, llava, opened, write_lines, write_picture

from sightline.core.errors import DataError


def test_files_of_a_folder_are_joined_in_order(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        write_lines(
            tmp_path / "d" / f"part-{number}.jsonl", [llava(2 * number), llava(2 * number + 1)]
        )
    write_lines(tmp_path / "d" / "deep" / "part.jsonl", [llava(9, "p.png")])
    (tmp_path / "d" / "README.md").write_text("words")
    (tmp_path / "d" / ".cache").mkdir()
    (tmp_path / "d" / ".cache" / "x.jsonl").write_text("{}")
    one = opened(tmp_path, "d/")
    assert one.notes == ("reads 7 rows of d/ as llava", "joins 4 files of d")
    assert ids(one)[:3] == ["d/deep/part.jsonl:1", "d/part-0.jsonl:1", "d/part-0.jsonl:2"]
    assert answers(one) == [f"It is {n}." for n in (9, 0, 1, 2, 3, 4, 5)]
    assert one.source.sample(0).media[0].source == tmp_path / "d" / "deep" / "p.png"


def test_a_pattern_names_files(tmp_path: Path) -> None:
    for name in ("a-1", "a-2", "b-1"):
        write_lines(tmp_path / f"{name}.jsonl", [llava(1)])
    assert ids(opened(tmp_path, "a-*.jsonl")) == ["a-1.jsonl:1", "a-2.jsonl:1"]
    assert ids(opened(tmp_path, "{b,a}-1.jsonl")) == ["b-1.jsonl:1", "a-1.jsonl:1"]


def test_a_pattern_names_no_file_twice(tmp_path: Path) -> None:
    for name in "abc":
        write_lines(tmp_path / f"{name}.jsonl", [llava(1)])
    assert ids(opened(tmp_path, "{a,{b,c}}.jsonl")) == ["a.jsonl:1", "b.jsonl:1", "c.jsonl:1"]
    for pattern in ("{a,*}.jsonl", "{b,./b}.jsonl", "{c,no/../c}.jsonl"):
        (tmp_path / "no").mkdir(exist_ok=True)
        with pytest.raises(DataError, match="names a file twice: ") as caught:
            opened(tmp_path, pattern)
        assert caught.value.field == pattern


def test_an_annotation_beside_its_pictures_is_found(tmp_path: Path) -> None:
    write_picture(tmp_path / "d" / "images" / "1.png")
    (tmp_path / "d" / "rows.json").write_text(json.dumps([llava(1, "images/1.png")]))
    one = opened(tmp_path, "d")
    assert one.notes == ("reads 1 row of d as llava", "finds d/rows.json")
    assert one.source.sample(0).media[0].source == tmp_path / "d" / "images" / "1.png"


def test_subfolders_are_captions(tmp_path: Path) -> None:
    for name in ("red cat/2.png", "red cat/10.jpg", "dog/deep/1.webp", "dog/1.png"):
        write_picture(tmp_path / "d" / name)
    one = opened(tmp_path, "d")
    assert one.notes == (
        "reads 4 rows of d as caption",
        "takes captions of 4 pictures from their subfolders",
    )
    assert ids(one) == ["d/dog/1.png", "d/dog/deep/1.webp", "d/red cat/10.jpg", "d/red cat/2.png"]
    assert answers(one) == ["dog", "deep", "red cat", "red cat"]
    assert one.source.sample(0).media[0].source == tmp_path / "d" / "dog" / "1.png"


def test_texts_of_the_same_name_are_captions(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_picture(tmp_path / "d" / f"{name}.png")
    (tmp_path / "d" / "a.txt").write_text(" ein Bär\n", encoding="utf-8")
    (tmp_path / "d" / "c.txt").write_text("\n")
    one = opened(tmp_path, "d", dialect="caption")
    assert one.source.sample(0).turns[-1].text == "ein Bär"
    for index, says in ((1, r"d/b.png: has no caption beside it"), (2, "empty caption .c.txt")):
        with pytest.raises(DataError, match=says):
            one.source.sample(index)


def test_metadata_name_their_pictures(tmp_path: Path) -> None:
    for name in ("1.png", "x/2.png", "x/3.png"):
        write_picture(tmp_path / "d" / name)
    rows = [{"file_name": "1.png", "text": "one"}, {"file_name": "x/2.png", "text": "two"}, {}]
    write_lines(tmp_path / "d" / "metadata.jsonl", [*rows, {"file_name": "a", "image": "b"}])
    one = opened(tmp_path, "d")
    assert one.notes[1] == "d has 3 pictures for 4 rows"
    second = one.source.sample(1)
    assert second.id == "d/metadata.jsonl:2" and second.turns[-1].text == "two"
    assert second.media[0].source == tmp_path / "d" / "x" / "2.png"
    for index, says in ((2, "has no file_name"), (3, "has file_name and image")):
        with pytest.raises(DataError, match=rf"d/metadata.jsonl:{index + 1}: {says}"):
            one.source.sample(index)


def folder(root: Path, names: list[str]) -> None:
    for name in names:
        path = root / name
        if path.suffix in (".png", ".jpg"):
            write_picture(path)
        else:
            write_lines(path, [llava(1)])


REFUSED = [
    ([], "holds neither rows nor pictures"),
    (["a.jsonl", "b.json"], "mixes kinds of files"),
    (["train-0.jsonl", "test-0.jsonl"], "holds several splits"),
    (["train/cat/1.png", "val/cat/2.png"], "holds several splits"),
    (["1.png", "cat/2.png"], "holds 1.png without a caption"),
    (["metadata.jsonl", "rows.jsonl", "1.png"], "holds metadata.jsonl and other rows"),
    (["train/metadata.jsonl", "dev/metadata.jsonl"], "holds several splits"),
]


@pytest.mark.parametrize(("names", "says"), REFUSED)
def test_folders_that_are_not_plain_are_refused(
    tmp_path: Path, names: list[str], says: str
) -> None:
    (tmp_path / "d").mkdir()
    folder(tmp_path / "d", names)
    with pytest.raises(DataError, match=says) as caught:
        opened(tmp_path, "d")
    assert caught.value.field == "d"


def test_a_class_called_train_is_no_split(tmp_path: Path) -> None:
    folder(tmp_path / "d", ["train/1.png", "car/2.png", "training_ground/3.png"])
    assert answers(opened(tmp_path, "d")) == ["car", "train", "training_ground"]
    folder(tmp_path / "e", ["train-0.jsonl", "train-1.jsonl"])
    assert len(ids(opened(tmp_path, "e"))) == 2
