"""Parquet and Arrow through pyarrow, and data sets that `datasets` wrote."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.data.test_sources_open import ids, llava, opened, samples, write_lines, write_picture

from sightline.core.errors import DataError
from sightline.data.sources import arrow
from sightline.data.sources.arrow import Groups

ROWS = [llava(n) for n in range(30)]
GARBAGE = b"PAR1 no such thing " * 40


@dataclass(frozen=True)
class Group:
    """What a row group shows the cache."""

    nbytes: int


def test_decoded_groups_are_bounded_by_their_bytes() -> None:
    reads: list[int] = []
    groups = Groups(limit_bytes=100)

    def get(number: int, size: int) -> Any:
        return groups.get(("a", number), lambda: reads.append(number) or Group(size))

    for number, size in ((0, 40), (1, 40), (0, 40), (2, 40), (0, 40), (1, 40), (3, 500), (3, 500)):
        assert get(number, size).nbytes == size
    assert reads == [0, 1, 2, 1, 3]  # 1 gave way to 2, all to 3
    assert get(0, 40).nbytes == 40 and reads[-1] == 0
    assert pickle.loads(pickle.dumps(groups)) == Groups(limit_bytes=100)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_bytes(GARBAGE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=rf"{name}: needs pyarrow") as caught:
        opened(tmp_path, name)
    assert "sightline[train]" in caught.value.fix


@pytest.fixture
def kinds(tmp_path: Path) -> list[str]:
    """The same rows in every kind of file that pyarrow writes, in several groups or batches."""
    import pyarrow as pa
    from pyarrow import ipc, parquet

    table = pa.Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    for name, new in (("stream.arrow", ipc.new_stream), ("file.arrow", ipc.new_file)):
        with new(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    return ["a.parquet", "stream.arrow", "file.arrow"]


def test_rows_equal_those_of_jsonl(tmp_path: Path, kinds: list[str]) -> None:
    write_lines(tmp_path / "a.jsonl", ROWS)
    wanted = [(s.turns, s.columns) for s in samples(opened(tmp_path, "a.jsonl"))]
    order = list(range(30))
    random.Random(0).shuffle(order)
    for name in kinds:
        one = opened(tmp_path, name)
        assert [(s.turns, s.columns) for s in samples(one)] == wanted
        copy = pickle.loads(pickle.dumps(one))
        assert [copy.source.sample(i).turns for i in order] == [wanted[i][0] for i in order]
        assert ids(one)[::29] == [f"{name}:1", f"{name}:30"]


def test_a_pickled_copy_holds_no_rows(tmp_path: Path, kinds: list[str]) -> None:
    for name in kinds:
        one = opened(tmp_path, name)
        samples(one)
        assert len(pickle.dumps(one)) < 3000


def first_words(one: Any) -> list[str]:
    return [sample.turns[-1].text for sample in samples(one)]


def test_a_forked_process_reads_on(tmp_path: Path, kinds: list[str]) -> None:
    """With files mapped and groups held, as they are once the dialect was looked at."""
    for name in kinds:
        one = opened(tmp_path, name)
        with multiprocessing.get_context("fork").Pool(1, _hold, (one,)) as pool:
            assert pool.apply(_read_held) == first_words(one)


_HELD: list[Any] = []


def _hold(one: Any) -> None:
    """Runs in the fork, which has the object itself and no copy."""
    _HELD.append(one)


def _read_held() -> list[str]:
    return first_words(_HELD[-1])


def test_what_shuffling_costs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    noise = random.Random(0)
    rows = [{"image": noise.randbytes(50_000), "text": "a cup"} for _ in range(40)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=20)
    assert len(opened(tmp_path, "a.parquet").notes) == 1
    monkeypatch.setattr(arrow, "CACHE_BYTES", 1_500_000)
    monkeypatch.setattr(arrow, "_SLOW_BYTES", 900_000)
    one = opened(tmp_path, "a.parquet")
    assert "each shuffled row decodes a row group (20 rows, 1 MB)" in one.notes[1]


def test_pictures_come_as_bytes(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    data = write_picture(tmp_path / "p.png").read_bytes()
    rows = [
        {"images": [{"bytes": data, "path": None}], "texts": [{"user": "a?", "assistant": "b"}]},
        {"images": [], "texts": [{"user": "c?", "assistant": "d"}]},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    one = opened(tmp_path, "a.parquet")
    assert one.notes == ("reads 2 rows of a.parquet as finevision",)
    first, second = samples(one)
    assert [m.source for m in first.media] == [data] and not second.media


def test_damaged_files_are_named(tmp_path: Path, kinds: list[str]) -> None:
    for name in kinds:
        data = (tmp_path / name).read_bytes()
        for cut in (len(data) // 2, 20):
            (tmp_path / name).write_bytes(data[:cut])
            with pytest.raises(DataError) as caught:
                samples(opened(tmp_path, name))
            assert caught.value.field.startswith(name)
        (tmp_path / name).write_bytes(GARBAGE)
        with pytest.raises(DataError, match=rf"{name}: cannot be read"):
            opened(tmp_path, name)
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(DataError, match=rf"{name}: is empty"):
            opened(tmp_path, name)


def test_tables_without_rows_or_with_a_name_twice_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet: has no rows"):
        opened(tmp_path, "a.parquet")
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    parquet.write_table(twice, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet: has the column 'a' twice"):
        opened(tmp_path, "b.parquet")


def test_folders_that_datasets_saved(tmp_path: Path) -> None:
    import datasets

    saved = datasets.Dataset.from_list(ROWS)
    saved.save_to_disk(str(tmp_path / "one"), num_shards=3)
    one = opened(tmp_path, "one")
    assert one.notes[1] == "joins 3 files of one"
    assert [s.turns for s in samples(one)] == [
        s.turns for s in samples(opened_rows(tmp_path / "rows.jsonl"))
    ]
    datasets.DatasetDict({"train": saved, "test": saved}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(DataError, match="two: holds the splits test, train"):
        opened(tmp_path, "two")
    assert opened(tmp_path, "two/train").source.num_rows == 30


def opened_rows(path: Path) -> Any:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return opened(path.parent, path.name)
