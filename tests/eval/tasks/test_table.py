"""Rows of folders: which files are read, which are missed, and what of them stays in memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.eval.tasks.published_files import write_jsonl, write_parquet

from sightline.core.errors import DataError
from sightline.data.sources.arrow import Groups, ParquetRows
from sightline.eval.asking import Asking, batches
from sightline.eval.controls import Full
from sightline.eval.item import Answers, Item, StoredPicture, asked_about
from sightline.eval.tasks import table
from sightline.eval.tasks.table import rows

ONE = [{"question": "What?", "answer": "x"}]
MEGABYTE = 1 << 20
BMP = b"BM\x3e\x10\0\0\0\0\0\0\x3e\0\0\0\x28\0\0\0\x40\0\0\0\x40\0\0\0\x01\0\x18\0" + bytes(24)


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (write_parquet if name.endswith(".parquet") else write_jsonl)(folder / name, ONE)
    return folder


def pictures(folder: Path, shards: int, groups: int, each: int, size: int) -> Path:
    """Shards of several row groups, of pictures that do not compress."""
    import pyarrow
    from pyarrow import parquet

    draw = random.Random(0)
    for shard in range(shards):
        found = [{"image": {"bytes": BMP + draw.randbytes(size)}} for _ in range(groups * each)]
        path = folder / f"test-{shard:05}-of-{shards:05}.parquet"
        parquet.write_table(pyarrow.Table.from_pylist(found), path, row_group_size=each)
    return folder


def held(folder: Path) -> list[Any]:
    return [row.picture("image") for row in rows(folder, "test-*.parquet")]


def test_files_of_a_folder_share_what_they_keep_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow

    monkeypatch.setattr(table, "Groups", partial(Groups, limit_bytes=2 * MEGABYTE))
    pictures(tmp_path, shards=8, groups=1, each=4, size=MEGABYTE // 4)
    before = pyarrow.total_allocated_bytes()
    found = held(tmp_path)
    assert len(found) == 32 and all(isinstance(one, StoredPicture) for one in found)
    assert pyarrow.total_allocated_bytes() - before < 4 * MEGABYTE  # all files have 8
    assert len({one.read() for one in found}) == 32
    assert pyarrow.total_allocated_bytes() - before < 4 * MEGABYTE


def test_questions_of_one_length_decode_each_block_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks do not fit into memory together. Questions have up to four lengths that count as
    others, so that each block is decoded at most four times for ten pictures."""
    monkeypatch.setattr(table, "Groups", partial(Groups, limit_bytes=1))
    pictures(tmp_path, shards=2, groups=5, each=10, size=100)
    found = held(tmp_path)
    decoded: list[int] = []
    read = ParquetRows._read

    def counted(self: ParquetRows, number: int) -> Any:
        decoded.append(number)
        return read(self, number)

    monkeypatch.setattr(ParquetRows, "_read", counted)
    draw = random.Random(0)
    items = [
        Item(str(at), asked_about(one, "w" * draw.randrange(1, 128)), Answers(("x",)))
        for at, one in enumerate(found)
    ]
    for batch in batches(items, Asking((Full(),), batch=8)):
        for number in batch.numbers:
            found[number].read()
    assert len(decoded) <= 4 * 10


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["val-00001-of-00003.parquet"], "has 1 of the 3 files val-*-of-00003"),
        (
            ["data/val-00000-of-00003.parquet", "data/val-00002-of-00003.parquet"],
            "has 2 of the 3 files data/val-*-of-00003",
        ),
        (["rows-00000-of-00002-abcdef.parquet"], "has 1 of the 2 files rows-*-of-00002"),
        (
            ["a-00000-of-00002.jsonl", "a-00001-of-00002.jsonl", "b-00000-of-00002.jsonl"],
            "has 1 of the 2 files b-*-of-00002",
        ),
    ],
)
def test_a_missing_file_is_noticed(tmp_path: Path, names: Sequence[str], problem: str) -> None:
    with pytest.raises(DataError) as error:
        list(rows(files(tmp_path, *names), "val-*.parquet", "data/val-*.parquet"))
    assert (error.value.field, error.value.problem) == (str(tmp_path), problem)
    assert "bring the others" in error.value.fix
    assert len(list(rows(tmp_path / names[0]))) == 1


def test_files_that_are_all_there_are_read(tmp_path: Path) -> None:
    files(tmp_path, *[f"val-{n:05}-of-00002-{n}a.parquet" for n in range(2)])
    files(tmp_path, ".cache/val-00000-of-00007.parquet", "rows-00000-of-00002.parquet.lock")
    assert len(list(rows(tmp_path))) == 2
    files(tmp_path, "train-00001-of-00009.parquet")  # of another split
    assert len(list(rows(tmp_path, "val-*.parquet"))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "train2014-00000-of-00001.parquet",
        "non_image-00000-of-00001.parquet",
        "data/testA-00000-of-00001.parquet",
        "testB.jsonl",
        "testdev_balanced.jsonl",
        "Test.jsonl",
        "dev_all.tsv",
        "validation.parquet",
    ],
)
def test_another_split_is_not_read_in_place_of_the_one_wanted(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"has {name}, and no val-\*\.parquet"):
        list(rows(files(tmp_path, name), "val-*.parquet"))


@pytest.mark.parametrize("name", ["rows.jsonl", "testament.jsonl", "trains.jsonl", "vales.parquet"])
def test_a_file_that_names_no_split_is_read(tmp_path: Path, name: str) -> None:
    files(tmp_path, name)
    (tmp_path / "train.py").write_text("no rows")
    assert len(list(rows(tmp_path, "val-*.parquet"))) == 1
