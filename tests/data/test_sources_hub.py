"""Streams of hub data sets: exact restarts, errors in their place, nothing fetched here."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.data.test_sources_open import llava, write_lines, write_picture

from sightline.core.errors import DataError
from sightline.data.sample import Sample
from sightline.data.sources import open_source
from sightline.data.sources.hub import HubRows, HubStream
from sightline.data.sources.opened import How
from sightline.spec.train import HubSpec


@dataclass(frozen=True, slots=True)
class Listed(HubRows):
    """Rows of a list in place of the library's."""

    listed: tuple[Mapping[str, Any], ...] = ()

    def rows(self, start: int) -> Iterator[Mapping[str, Any]]:
        yield from self.listed[start:]


def said(stream: HubStream, start: int = 0) -> list[tuple[str, str]]:
    return [
        (one.id, one.turns[-1].text) if isinstance(one, Sample) else (one.field, "error")
        for one in stream.samples(start)
    ]


def test_a_stream_starts_anywhere_and_gives_faults_in_their_place() -> None:
    rows = [llava(n) for n in range(6)]
    rows[2] = {"conversations": []}
    stream = HubStream(Listed("", "x/train", listed=tuple(rows)), How("llava"))
    whole = said(stream)
    assert [name.split()[0] for name, _ in whole] == [f"x/train:{n}" for n in range(1, 7)]
    assert [text for _, text in whole][1:4] == ["It is 1.", "error", "It is 3."]
    assert all(said(stream, start) == whole[start:] for start in range(8))
    first = HubStream(stream.raw, stream.how, limit=4)
    assert all(said(first, start) == whole[start:4] for start in range(8))


def test_without_datasets_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="a/b/train: needs the library `datasets`") as caught:
        open_source(HubSpec(name="a/b"), Path())
    assert "sightline[train]" in caught.value.fix


@pytest.mark.parametrize("take", ["random:3", "end:3", "first:10%", "first:0"])
def test_what_a_stream_cannot_take_is_refused(take: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HubRows, "rows", lambda self, start: iter([llava(1)]))
    with pytest.raises(DataError, match=rf"take: {take}"):
        open_source(HubSpec(name="a/b", take=take), Path())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of two shards in the hub's layout."""
    monkeypatch.chdir(tmp_path)
    rows = [llava(n) for n in range(40)]
    write_lines(tmp_path / "set" / "train-00000-of-00002.jsonl", rows[:25])
    write_lines(tmp_path / "set" / "train-00001-of-00002.jsonl", rows[25:])
    write_lines(tmp_path / "set" / "test.jsonl", [llava(99)])
    return tmp_path


def test_a_local_folder_is_streamed_and_resumed_exactly(folder: Path) -> None:
    [one] = open_source(HubSpec(name="set", take="first:38"), folder)
    assert one.notes == ("streams first:38 of set/train as llava",)
    whole = said(one.source)
    assert whole == [(f"set/train:{n + 1}", f"It is {n}.") for n in range(38)]
    for start in (0, 1, 16, 24, 25, 26, 37, 38):
        assert said(one.source, start) == whole[start:]
    [test] = open_source(HubSpec(name="set", split="test"), folder)
    assert said(test.source) == [("set/test:1", "It is 99.")]


def test_a_worker_process_of_torch_sees_every_row(folder: Path) -> None:
    """`datasets` would give each of two workers one of the shards."""
    from torch.utils.data import DataLoader, IterableDataset

    [one] = open_source(HubSpec(name="set"), folder)

    class Read(IterableDataset[str]):
        def __iter__(self) -> Iterator[str]:
            return iter([name for name, _ in said(one.source)])

    seen = list(DataLoader(Read(), batch_size=None, num_workers=2))
    assert sorted(seen) == sorted(2 * [f"set/train:{n + 1}" for n in range(40)])


def test_pictures_stay_files(folder: Path) -> None:
    import datasets

    data = write_picture(folder / "p.png").read_bytes()
    rows = [{"image": {"bytes": data, "path": None}, "text": f"cup {n}"} for n in range(3)]
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    (folder / "pics").mkdir()
    made = datasets.Dataset.from_list(rows, features=features)
    made.to_parquet(str(folder / "pics" / "train.parquet"))
    [one] = open_source(HubSpec(name="pics"), folder)
    assert [s.media[0].source for s in one.source.samples(1)] == [data] * 2


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": "set", "split": "no"}, "set/no"),
        ({"name": "nobody/nothing"}, "nobody/nothing/train"),
    ],
)
def test_what_cannot_be_streamed_is_named(folder: Path, fields: dict[str, str], name: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(.") as caught:
        open_source(HubSpec(**fields), folder)
    assert caught.value.field == name
