"""Data sets of the Hugging Face hub, or of a folder in its layout, as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sightline.core.errors import DataError
from sightline.data.sample import Sample
from sightline.data.sources.opened import PEEK, How, Opened, named
from sightline.spec.train import HubSpec

_BATCH = 16  # rows that the library is asked for at once


@dataclass(frozen=True, slots=True)
class HubRows:
    """Which rows of which data set, for `datasets.load_dataset`."""

    path: str
    name: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    folder: str | None = None

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self.rows(0)

    def rows(self, start: int) -> Iterator[Mapping[str, Any]]:
        """Raw rows from `start` on, pictures as the bytes of their files. Raises DataError.

        The stream is asked for batches: asked for single rows, `datasets` would give each worker
        process of a torch DataLoader another part of them.
        """
        try:
            for batch in self._stream(start).iter(batch_size=_BATCH):
                keys = list(batch)
                for values in zip(*(batch[key] for key in keys), strict=True):
                    yield dict(zip(keys, values, strict=True))
        except DataError:
            raise
        except Exception as error:  # of the library, its file systems and formats
            raise self.refused(error) from None

    def _stream(self, start: int) -> Any:
        datasets = library(self.name)
        opened = datasets.load_dataset(
            self.path,
            self.subset,
            split=self.split,
            revision=self.revision,
            data_dir=self.folder,
            streaming=True,
        )
        return opened.decode(False).skip(start)

    def refused(self, error: Exception) -> DataError:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        fix = "check name, subset, split and revision; offline (HF_HUB_OFFLINE=1) give a folder"
        return DataError(self.name, f"cannot be read ({reason})", fix)


@dataclass(frozen=True)
class HubStream:
    """A `Stream` of samples. limit: the first rows only. shuffle_rows: of the blocks that whoever
    reads it shuffles (the library's own shuffle loses rows when resumed, and is not used)."""

    raw: HubRows
    how: How
    limit: int | None = None
    shuffle_rows: int = 1000

    @property
    def name(self) -> str:
        return self.raw.name

    def samples(self, start: int) -> Iterator[Sample | DataError]:
        """One pass from row `start` on; a row that cannot be read is given as its error.

        Rows before `start` are skipped by the library, which reads them again where the format
        has no way around. Raises DataError if the data set itself fails.
        """
        stop = None if self.limit is None else max(0, self.limit - start)
        for number, row in enumerate(islice(self.raw.rows(start), stop), start + 1):
            try:
                yield self.how.read(row, f"{self.name}:{number}", None)
            except DataError as error:
                yield error


def library(name: str) -> Any:
    """`datasets`. Raises DataError that names the extra."""
    try:
        import datasets
    except ImportError:
        fix = "pip install sightline[train]"
        raise DataError(name, "needs the library `datasets`, which is not installed", fix) from None
    return datasets


def open_hub(spec: HubSpec, folder: Path, media: Path | None) -> Opened:
    """A stream of the data set's split. A path that exists beside the recipe is read from there;
    everything else is an id of the hub. Raises DataError."""
    local = [place for place in (folder / spec.name, Path(spec.name)) if place.exists()]
    path = str(local[0].absolute()) if local else spec.name
    parts = (spec.name, spec.subset, spec.split)
    raw = HubRows(path, "/".join(filter(None, parts)), spec.subset, spec.split, spec.revision)
    dialect = spec.dialect or named(islice(raw, PEEK), raw.name)
    how = How(dialect, media, spec.columns, media_first=spec.media_first)
    return stream_of(raw, how, spec)


def stream_of(raw: HubRows, how: How, spec: HubSpec) -> Opened:
    stream = HubStream(raw, how, _limit(spec.take, raw.name), spec.shuffle_rows)
    note = f"streams {'' if spec.take == 'all' else spec.take + ' of '}{raw.name} as {how.dialect}"
    return Opened(stream, spec.weight, spec.repeat, (note,))


def _limit(take: str, name: str) -> int | None:
    how, _, amount = take.partition(":")
    if how == "all":
        return None
    if how != "first" or amount.endswith("%"):
        problem = f"{take} of {name} needs the number of its rows, which a stream does not know"
        raise DataError("take", problem, "use all or first:N, or download it and use kind: files")
    if not int(amount):
        raise DataError("take", f"{take} takes no row of {name}", "ask for at least one")
    return int(amount)
