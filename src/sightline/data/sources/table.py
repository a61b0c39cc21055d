"""Raw rows by number, before a dialect reads them."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from sightline.core.errors import DataError


class Table(Protocol):
    """The rows of a file as they stand in it.

    Tables are cheap to pickle. They hold no open file: each reads (or maps) what it needs when it
    is asked for a row, so a copy in a forked or spawned process gives the same rows. They are not
    meant to be shared between threads.
    """

    def __len__(self) -> int: ...

    def row(self, index: int) -> Mapping[str, Any]:
        """Row `index`. Raises DataError naming file, row and reason."""

    def where(self, index: int) -> str:
        """`train.jsonl:17`: rows are counted from 1, those of JSONL by line."""

    def folder(self, index: int) -> Path:
        """Where relative paths in the row start."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was when its rows were counted.

    name: how errors and ids call it.
    """

    path: Path
    name: str
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path, name: str) -> StoredFile:
        """Raises DataError for what cannot be read, and for an empty file."""
        with reading(name):
            found = os.stat(path)
        if found.st_size == 0:
            raise DataError(name, "is empty", "leave it out, or write it again")
        return cls(path, name, found.st_size, found.st_mtime_ns)

    def read(self, start: int, end: int) -> bytes:
        """Its bytes start..end-1. Raises DataError if it is not what it was."""
        with reading(self.name), open(self.path, "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if (found.st_size, found.st_mtime_ns) != (self.size, self.changed_ns):
                raise self.has_changed()
            file.seek(start)
            return _read_all(file, end - start)

    def has_changed(self) -> DataError:
        problem = "has changed since its rows were counted"
        return DataError(self.name, problem, "leave data alone while they are read; start again")

    def check(self) -> None:
        """Raises DataError if it is not what it was."""
        with reading(self.name):
            found = os.stat(self.path)
        if (found.st_size, found.st_mtime_ns) != (self.size, self.changed_ns):
            raise self.has_changed()


def _read_all(file: Any, size: int) -> bytes:
    """One read of a raw file may stop at 2 GiB."""
    parts: list[bytes] = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """What the system says about a file becomes a DataError that names it."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error) or "unknown reason").lower()
        problem = f"cannot be read ({reason})"
        raise DataError(name, problem, "check the path and its rights") from None


@dataclass(frozen=True)
class Joined:
    """Tables one behind the other."""

    tables: Sequence[Table]

    @cached_property
    def ends(self) -> list[int]:
        return list(accumulate(len(table) for table in self.tables))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def _at(self, index: int) -> tuple[Table, int]:
        number = bisect_right(self.ends, index)
        return self.tables[number], index - (self.ends[number - 1] if number else 0)

    def row(self, index: int) -> Mapping[str, Any]:
        table, at = self._at(index)
        return table.row(at)

    def where(self, index: int) -> str:
        table, at = self._at(index)
        return table.where(at)

    def folder(self, index: int) -> Path:
        table, at = self._at(index)
        return table.folder(at)
