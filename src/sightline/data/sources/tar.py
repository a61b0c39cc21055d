"""WebDataset shards: tar files whose members of one key are a row."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.data.sources.table import StoredFile, reading
from sightline.data.sources.tar_row import READ, row_of

_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class TarRows:
    """Row i is the members first[i]..first[i + 1] - 1; of each, where its bytes lie and its kind.

    keys: of each row, as in the tar. kinds: the suffixes that occur. repeated: rows whose key or
    member came before, which are refused when read.
    """

    file: StoredFile
    keys: NDArray[np.bytes_]
    first: NDArray[np.int64]
    spans: NDArray[np.int64]  # of each member: start, end
    kind: NDArray[np.int64]
    kinds: tuple[str, ...]
    repeated: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, index: int) -> Mapping[str, Any]:
        where = self.where(index)
        if index in self.repeated:
            fix = "name each row's members alike, and no others so"
            raise DataError(where, self.repeated[index], fix)
        members: dict[str, Any] = {}
        for at in range(int(self.first[index]), int(self.first[index + 1])):
            kind = self.kinds[int(self.kind[at])]
            if kind.rpartition(".")[2] in READ:
                start, end = map(int, self.spans[at])
                members[kind] = self.file.read(start, end)
        return row_of(members, where)

    def where(self, index: int) -> str:
        return f"{self.file.name}:{index + 1} ({self.keys[index].decode('utf-8', 'replace')})"

    def folder(self, index: int) -> Path:
        return self.file.path.parent


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    kind: str
    start: int
    end: int


def tar_rows(path: Path, name: str) -> TarRows:
    """Reads the headers once. Raises DataError for a compressed, damaged or empty tar."""
    file = StoredFile.of(path, name)
    members = list(_members(file))
    if not members:
        raise DataError(name, "has no rows", "leave it out, or write it again")
    firsts = [i for i, m in enumerate(members) if i == 0 or m.key != members[i - 1].key]
    kinds = tuple(dict.fromkeys(member.kind for member in members))
    number = {kind: i for i, kind in enumerate(kinds)}
    return TarRows(
        file,
        np.array([members[i].key.encode("utf-8", "surrogateescape") for i in firsts]),
        np.array([*firsts, len(members)], dtype=np.int64),
        np.array([(member.start, member.end) for member in members], dtype=np.int64),
        np.array([number[member.kind] for member in members], dtype=np.int64),
        kinds,
        _repeated(members, firsts),
    )


def left_out(table: TarRows) -> list[str]:
    """Suffixes of members that are not read."""
    return sorted(kind for kind in table.kinds if kind.rpartition(".")[2] not in READ)


def _repeated(members: list[_Member], firsts: list[int]) -> dict[int, str]:
    seen: dict[str, int] = {}
    found: dict[int, str] = {}
    for row, (first, last) in enumerate(zip(firsts, [*firsts[1:], len(members)], strict=True)):
        kinds = [member.kind for member in members[first:last]]
        if twice := [kind for kind in kinds if kinds.count(kind) > 1]:
            found[row] = f"has two members .{twice[0]}"
        before = seen.setdefault(members[first].key, row)
        if before != row:
            found[row] = f"has the key of row {before + 1} again"
    return found


def _members(file: StoredFile) -> Iterator[_Member]:
    """Regular files, named as WebDataset does: a key up to the first dot, and what follows."""
    with reading(file.name):
        try:
            with tarfile.open(file.path, "r:") as tar:
                for member in tar:
                    if member.isdir():
                        continue
                    if not member.isreg():
                        problem = f"holds {member.name!r:.80}, which is no regular file"
                        raise DataError(file.name, problem, "store files, not links")
                    yield _named(member)
                _check_end(file, tar.offset)
        except tarfile.TarError as error:
            raise _unread(file, error) from None


def _named(member: tarfile.TarInfo) -> _Member:
    folder, base = posixpath.split(member.name)
    stem, _, kind = base.partition(".")
    end = member.offset_data + member.size
    return _Member(posixpath.join(folder, stem), kind.lower(), member.offset_data, end)


def _check_end(file: StoredFile, at: int) -> None:
    """Behind the last member stands an empty block: tarfile takes anything else for the end too."""
    if file.read(at, at + _BLOCK) != bytes(_BLOCK):
        problem = f"is damaged or cut off at byte {at:,}"
        raise DataError(file.name, problem, "write or download it again")


def _unread(file: StoredFile, error: Exception) -> DataError:
    if file.read(0, 2) == b"\x1f\x8b":
        return DataError(file.name, "is compressed: rows cannot be read by number", "unpack it")
    reason = " ".join(str(error).split())[:120]
    return DataError(file.name, f"is damaged or cut off ({reason})", "write or download it again")
