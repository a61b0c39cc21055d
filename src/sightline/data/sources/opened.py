"""A source that is ready to be read, and what was found out about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.core.errors import DataError
from sightline.data import dialects
from sightline.data.sample import Sample
from sightline.data.source import Source, Stream
from sightline.data.sources.table import Table
from sightline.data.sources.take import Picks, taken
from sightline.spec.train import Dialect, FilesSpec

PEEK = 8  # rows that a dialect is recognised from


@dataclass(frozen=True)
class Opened:
    """One source of a mixture.

    weight: its share of the draws, where the recipe gives one. repeat: how often its rows are seen
    in one pass. notes: what was found, for people (`reads 1,000 rows of train.jsonl as llava`).
    """

    source: Source | Stream
    weight: float | None = None
    repeat: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class How:
    """How raw rows become samples: the dialect, and what its `Context` says.

    media: where relative paths of pictures start, in place of each file's own folder.
    """

    dialect: Dialect
    media: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    media_first: bool = False

    def read(self, row: Any, where: str, folder: Path | None) -> Sample:
        """Raises DataError."""
        media = folder if self.media is None else self.media
        context = dialects.Context(where, media, self.columns, self.tags, self.media_first)
        return dialects.read_row(self.dialect, row, context)


@dataclass(frozen=True)
class Rows:
    """Rows of a table by number: a `Source`. picks: which of the table's rows are taken."""

    name: str
    table: Table
    how: How
    picks: Picks

    @property
    def num_rows(self) -> int:
        return len(self.picks)

    def sample(self, index: int) -> Sample:
        """Row `index` of those taken. Raises DataError naming file, row and reason."""
        at = int(self.picks[index])
        row = self.table.row(at)
        return self.how.read(row, self.table.where(at), self.table.folder(at))


def open_rows(
    table: Table,
    spec: FilesSpec,
    media: Path | None,
    seed: int,
    *,
    tags: dict[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> Opened:
    """The rows that a spec takes of a table. Raises DataError."""
    name = spec.path
    dialect = spec.dialect or recognised(table, name)
    how = How(dialect, media, spec.columns, tags or {}, spec.media_first)
    picks = taken(spec.take, len(table), name, seed)
    of = "" if spec.take == "all" else f" ({spec.take} of {len(table):,})"
    rows = "1 row" if len(picks) == 1 else f"{len(picks):,} rows"
    note = f"reads {rows}{of} of {name} as {dialect}"
    return Opened(Rows(name, table, how, picks), spec.weight, spec.repeat, (note, *notes))


def recognised(table: Table, name: str) -> Dialect:
    """The dialect of a table's first rows and some further on, as far as they can be read.

    Raises DataError.
    """
    last = len(table) - 1
    spread = (last * step // PEEK for step in range(1, PEEK + 1))
    rows: list[Any] = []
    first: DataError | None = None
    for index in dict.fromkeys((*range(min(PEEK, len(table))), *spread)):
        try:
            rows.append(table.row(index))
        except DataError as error:
            first = first or error
    if not rows:
        assert first is not None, "a table has rows"
        raise first
    return named(rows, name)


def named(rows: Iterable[Any], name: str) -> Dialect:
    """Raises DataError that names the file."""

    try:
        return dialects.recognise(list(rows))
    except DataError as error:
        raise DataError(name, error.problem, error.fix) from None
