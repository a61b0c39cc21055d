"""Rows of published files, read field by field with errors that name file and row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sightline.core.errors import DataError, PictureError
from sightline.data.dialects.context import Context
from sightline.data.dialects.media import read_media
from sightline.data.sources.arrow import Groups, parquet_rows
from sightline.data.sources.files import find_rows, kind_of_file
from sightline.data.sources.table import Table, reading
from sightline.eval.item import StoredPicture
from sightline.pictures import probe
from sightline.pictures.gateway import PictureSource

_SPLIT = re.compile(
    r"(non_image|train|testdev|test|val|validation|dev)[AB]?(?![a-z])", re.IGNORECASE
)
_CSV = (".csv", ".tsv")
_SHARD = re.compile(r"(.*)-(\d+)-of-(\d+)")


@dataclass(frozen=True, slots=True, eq=False)
class TablePicture:
    """A picture that a file of rows holds: read from there when it is asked about, and not kept."""

    table: Table
    index: int
    field: str
    at: int | None

    def read(self) -> PictureSource:
        """Its bytes. Raises DataError if the file is not what it was."""
        row = Row(self.table, self.index, self.table.row(self.index))
        return row.opened(self.field, self.at)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row. Each reader of a field raises DataError where it is missing or of another kind."""

    table: Table
    index: int
    fields: Mapping[str, Any]

    @property
    def where(self) -> str:
        """`validation.parquet:17`."""
        return self.table.where(self.index)

    def wrong(self, field: str, problem: str, fix: str) -> DataError:
        return DataError(self.where, f"{field} {problem}", fix)

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self.fields.get(field) is not None

    def value(self, field: str) -> Any:
        """A field that must be there."""
        if not self.has(field):
            shown = ", ".join(self.fields)
            raise DataError(self.where, f"has no {field} (it has {shown})", "check the file")
        return self.fields[field]

    def text(self, field: str) -> str:
        """Words, stripped; not empty. Numbers are written out."""
        value = self.value(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(field, f"is {value!r:.60}, not words", "write words")
        return value.strip()

    def optional(self, field: str) -> str:
        """Words, or "" where there are none (`nan`, as TSV files write it, is none)."""
        value = self.fields.get(field)
        if value is None or (isinstance(value, float) and value != value):
            return ""
        return "" if str(value).strip().lower() == "nan" else str(value).strip()

    def texts(self, field: str) -> tuple[str, ...]:
        """One or more words; a single text is a list of one."""
        value = self.value(field)
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not all(isinstance(v, str) for v in listed):
            raise self.wrong(field, f"is {value!r:.60}, not a list of texts", "write a list")
        if not listed:
            raise self.wrong(field, "is empty", "give at least one")
        return tuple(listed)

    def number(self, field: str) -> float:
        """A number, or text that is one."""
        try:
            return float(self.value(field))
        except (TypeError, ValueError):
            shown = f"is {self.fields[field]!r:.60}, not a number"
            raise self.wrong(field, shown, "write a number") from None

    def whole(self, field: str) -> int:
        """A whole number."""
        if not (number := self.number(field)).is_integer():
            raise self.wrong(field, f"is {number}, not a whole number", "write one")
        return int(number)

    def numbers(self, field: str, count: int) -> tuple[float, ...]:
        """Exactly `count` numbers."""
        value = self.value(field)
        try:
            found = tuple(float(number) for number in value)
        except (TypeError, ValueError):
            raise self.wrong(field, f"is {value!r:.60}, not numbers", "write a list") from None
        if len(found) != count:
            raise self.wrong(field, f"has {len(found)} numbers", f"give {count}")
        return found

    def picture(self, field: str, at: int | None = None) -> PictureSource | StoredPicture:
        """The picture in a field (or number `at` of a list there), opened when it is looked at.
        Its header is read now."""
        found = self.opened(field, at)
        try:
            probe(found)
        except PictureError as error:
            raise self.wrong(field, f"{error.field}: {error.problem}", error.fix) from None
        kept = isinstance(found, Path | str) and str(found)[:5].lower() != "data:"
        return found if kept else TablePicture(self.table, self.index, field, at)

    def opened(self, field: str, at: int | None = None) -> PictureSource:
        """The same, as it is now: a path, or bytes."""
        value = self.value(field)
        if at is not None:
            if not isinstance(value, list | tuple) or not 0 <= at < len(value):
                raise self.wrong(field, f"has no picture {at + 1}", "give a list of pictures")
            value = value[at]
        context = Context(self.where, self.table.folder(self.index))
        return cast(PictureSource, read_media("image", value, field, context).source)


def rows(path: Path, *splits: str) -> Iterator[Row]:
    """Rows of a file (JSON, JSONL, Parquet, Arrow, CSV, TSV) or folder of files.

    splits: names of files in a folder to read if they are there, as glob patterns, in order of
    preference (`validation-*.parquet`, `data/test-*.parquet`); else all its files are read. All
    files together keep no more row groups in memory than one may.
    Raises DataError naming file and row, for a folder that names other splits, and for one that
    lacks some of the files that a split was cut into (`-00001-of-00003`).
    """
    for table in _tables(path, splits):
        for index in range(len(table)):
            yield Row(table, index, table.row(index))


def _tables(path: Path, splits: tuple[str, ...]) -> list[Table]:
    groups = Groups()
    if not path.is_dir():
        return [_table(path, path.name, groups)]
    for pattern in splits:
        if found := sorted(path.glob(pattern)):
            _check_shards(path, found)
            return [_table(file, file.relative_to(path).as_posix(), groups) for file in found]
    files = [file for file in sorted(path.rglob("*")) if _holds_rows(file, path)]
    _no_other_split(path, splits, files)
    _check_shards(path, files)
    return [find_rows(path, path.name).table]


def _holds_rows(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    known = kind_of_file(file) is not None or file.suffix.lower() in _CSV
    return known and not hidden and file.is_file()


def _no_other_split(path: Path, splits: tuple[str, ...], files: Iterable[Path]) -> None:
    """Raises DataError for a folder whose files name splits, and not the one that is wanted."""
    others = [file for file in files if _SPLIT.match(file.name)]
    if splits and others:
        problem = f"has {others[0].relative_to(path).as_posix()}, and no {splits[0]}"
        raise DataError(str(path), problem, "give the file itself, if it is the one to be asked")


def _check_shards(path: Path, files: Iterable[Path]) -> None:
    """Raises DataError unless each file that was cut into several is whole."""
    found: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if shard := _SHARD.match(file.relative_to(path).as_posix()):
            found.setdefault((shard[1], shard[3]), set()).add(int(shard[2]))
    for (name, total), numbers in found.items():
        if len(numbers) < int(total):
            problem = f"has {len(numbers)} of the {int(total)} files {name}-*-of-{total}"
            raise DataError(str(path), problem, "bring the others, or give one file by its path")


def _table(path: Path, name: str, groups: Groups) -> Table:
    if path.suffix.lower() in _CSV:
        return csv_rows(path, name)
    if kind_of_file(path) == "parquet":
        return parquet_rows(path, name, groups)
    return find_rows(path, name).table


@dataclass(frozen=True)
class CsvRows:
    """Rows of a CSV or TSV file under the names in its first line."""

    root: Path
    name: str
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> Mapping[str, Any]:
        return self.rows[index]

    def where(self, index: int) -> str:
        return f"{self.name}:{self.lines[index]}"

    def folder(self, index: int) -> Path:
        return self.root


def csv_rows(path: Path, name: str) -> CsvRows:
    """A whole file. Raises DataError for a row with more or fewer fields than the first line."""
    with reading(name):
        data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{name}:{line}", "is not UTF-8", "write the file again as UTF-8") from None
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # pictures as base64
    reader = csv.reader(
        io.StringIO(text, newline=""), "excel-tab" if path.suffix.lower() == ".tsv" else "excel"
    )
    head = next(reader, [])
    found: list[dict[str, str]] = []
    lines: list[int] = []
    before = reader.line_num
    for values in reader:
        at, before = before + 1, reader.line_num
        if not values:
            continue
        if len(values) != len(head):
            problem = f"has {len(values)} fields under {len(head)} names"
            raise DataError(f"{name}:{at}", problem, "mend the row")
        found.append(dict(zip(head, values, strict=True)))
        lines.append(at)
    return CsvRows(path.parent, name, tuple(found), tuple(lines))
