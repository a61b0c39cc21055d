"""Rows of Parquet and Arrow files, through pyarrow."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from sightline.core.errors import DataError
from sightline.data.sources.table import StoredFile

CACHE_BYTES = 256 << 20
_SLOW_BYTES = 4 << 20
_IPC_FILE = b"ARROW1"


def library(name: str) -> Any:
    """pyarrow. Raises DataError that names the extra."""
    try:
        import pyarrow
    except ImportError:
        fix = "pip install sightline[train]"
        raise DataError(name, "needs pyarrow, which is not installed", fix) from None
    return pyarrow


@dataclass
class Groups:
    """Row groups that were decoded lately, shared by all files of a source; never pickled.

    Bounded by bytes, so that reading in any order holds no more than this; the last one is kept
    however large it is.
    """

    limit_bytes: int = CACHE_BYTES
    _held: OrderedDict[tuple[str, int], Any] = field(default_factory=OrderedDict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"limit_bytes": self.limit_bytes, "_held": OrderedDict()}

    def get(self, key: tuple[str, int], read: Callable[[], Any]) -> Any:
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        self._held[key] = group = read()
        while len(self._held) > 1 and self._bytes() > self.limit_bytes:
            self._held.popitem(last=False)
        return group

    def _bytes(self) -> int:
        return sum(group.nbytes for group in self._held.values())


@dataclass(frozen=True)
class ParquetRows:
    """Rows of a Parquet file: a row is read with its row group. ends: rows up to each group's end.

    Rows read in order cost one decoding each group; in a random order, one each row unless all
    groups fit into `groups` together. total_bytes: of all groups, decoded.
    """

    file: StoredFile
    ends: tuple[int, ...]
    total_bytes: int
    groups: Groups = field(compare=False)

    def __len__(self) -> int:
        return self.ends[-1]

    def row(self, index: int) -> Mapping[str, Any]:
        number = bisect_right(self.ends, index)
        group = self.groups.get((str(self.file.path), number), lambda: self._read(number))
        at = index - (self.ends[number - 1] if number else 0)
        return _row(group, at, self.where(index))

    def _read(self, number: int) -> Any:
        from pyarrow import parquet

        self.file.check()
        first = self.ends[number - 1] if number else 0
        with refusing(f"{self.file.name}:{first + 1}"), parquet.ParquetFile(self.file.path) as file:
            return file.read_row_group(number, use_threads=False)  # may be a fork

    def where(self, index: int) -> str:
        return f"{self.file.name}:{index + 1}"

    def folder(self, index: int) -> Path:
        return self.file.path.parent


def parquet_rows(path: Path, name: str, groups: Groups) -> ParquetRows:
    """Counts the rows of each group from the file's end. Raises DataError."""
    library(name)
    from pyarrow import parquet

    file = StoredFile.of(path, name)
    with refusing(name), parquet.ParquetFile(path) as opened:
        _check_names(opened.schema_arrow.names, name)
        meta = opened.metadata
        found = [meta.row_group(i) for i in range(meta.num_row_groups)]
        counts, size = [g.num_rows for g in found], sum(g.total_byte_size for g in found)
    return ParquetRows(file, _counted(counts, name), size, groups)


def slow_groups(tables: Sequence[ParquetRows]) -> str | None:
    """What shuffled reading costs where the groups do not fit into memory together."""
    total = sum(table.total_bytes for table in tables)
    number = sum(len(table.ends) for table in tables)
    rows = sum(len(table) for table in tables)
    if total <= CACHE_BYTES or total / number < _SLOW_BYTES:
        return None
    cost = f"{rows / number:,.0f} rows, {total / number / 1e6:,.0f} MB"
    return f"each shuffled row decodes a row group ({cost}); kind: hub shuffles in blocks instead"


@dataclass
class ArrowRows:
    """Rows of an Arrow file (IPC stream or file), mapped into memory by each process at need.

    ends: rows up to each batch's end.
    """

    file: StoredFile
    ends: tuple[int, ...]
    _batches: list[Any] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_batches": None}

    def __len__(self) -> int:
        return self.ends[-1]

    def row(self, index: int) -> Mapping[str, Any]:
        if self._batches is None:
            self.file.check()
            self._batches = _mapped(self.file)
        number = bisect_right(self.ends, index)
        at = index - (self.ends[number - 1] if number else 0)
        return _row(self._batches[number], at, self.where(index))

    def where(self, index: int) -> str:
        return f"{self.file.name}:{index + 1}"

    def folder(self, index: int) -> Path:
        return self.file.path.parent


def arrow_rows(path: Path, name: str) -> ArrowRows:
    """Reads the batches' headers, not their data. Raises DataError."""
    library(name)
    file = StoredFile.of(path, name)
    batches = _mapped(file)
    return ArrowRows(file, _counted([len(batch) for batch in batches], name))


def _mapped(file: StoredFile) -> list[Any]:
    pyarrow = library(file.name)
    with refusing(file.name):
        source = pyarrow.memory_map(str(file.path), "r")
        if file.read(0, len(_IPC_FILE)) == _IPC_FILE:
            reader = pyarrow.ipc.open_file(source)
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        else:
            reader = pyarrow.ipc.open_stream(source)
            batches = list(reader)
        _check_names(reader.schema.names, file.name)
    return batches


def _row(group: Any, at: int, where: str) -> Mapping[str, Any]:
    with refusing(where):
        row: dict[str, Any] = group.slice(at, 1).to_pylist()[0]
    return row


def _check_names(names: list[str], name: str) -> None:
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise DataError(name, f"has the column {twice[0]!r} twice", "rename one of them")


def _counted(counts: list[int], name: str) -> tuple[int, ...]:
    if not sum(counts):
        raise DataError(name, "has no rows", "leave it out, or write it again")
    return tuple(accumulate(counts))


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """What pyarrow says becomes a DataError in one line."""
    pyarrow = library(name)
    try:
        yield
    except DataError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(name, f"cannot be read ({reason})", "write or download it again") from None
