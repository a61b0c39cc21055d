"""Any stretch of what a gzip file holds, without unpacking it from the start each time."""

from __future__ import annotations

import io
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sightline.core.errors import DataError
from sightline.data.sources.json_rows import JsonRows, index_lines
from sightline.data.sources.table import StoredFile

_CHUNK = 1 << 16  # packed bytes that are read at once
_PIECE = 1 << 18  # unpacked bytes that one step gives at most
_GZIP = 31  # window bits of zlib with gzip's header
_LEAST_SPAN = 1 << 20
_MOST_MARKS = 1000


@dataclass(slots=True)
class _Unpacker:
    """A point in the file: `at` bytes unpacked, the packed ones read up to `packed`."""

    inflate: Any
    at: int = 0
    packed: int = 0
    rest: bytes = b""

    def copy(self) -> _Unpacker:
        return _Unpacker(self.inflate.copy(), self.at, self.packed, self.rest)


@dataclass
class GzipFile:
    """Unpacked bytes of a .gz file by offset (the idea of zlib's zran.c).

    Marks, copies of the unpacker's state (some 40 kB each), are left on the way, at most a thousand
    a process, so a row costs at most the unpacking of one span. Copies that are pickled start
    without marks. A file of several members is read as one.
    """

    file: StoredFile
    span: int = _LEAST_SPAN
    _marks: list[_Unpacker] = field(default_factory=list, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_marks": []}

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def name(self) -> str:
        return self.file.name

    def read(self, start: int, end: int) -> bytes:
        """Unpacked bytes start..end-1. Raises DataError."""
        self._marks = self._marks or [_Unpacker(zlib.decompressobj(_GZIP))]
        nearest = bisect_right(self._marks, start, key=lambda mark: mark.at) - 1
        point, parts = self._marks[nearest].copy(), []
        while point.at < end:
            at, piece = point.at, self.step(point)
            if not piece:
                raise self.file.has_changed()
            parts.append(piece[max(0, start - at) : max(0, end - at)])
            if point.at - self._marks[-1].at >= self.span:
                self._marks.append(point.copy())
        return b"".join(parts)

    def step(self, point: _Unpacker) -> bytes:
        """The next unpacked bytes; none at the end. Raises DataError for a damaged file."""
        while True:
            if point.inflate.eof:  # another member may follow, or padding
                rest = point.inflate.unused_data.lstrip(b"\0") or self._packed(point).lstrip(b"\0")
                if not rest and point.packed >= self.file.size:
                    return b""
                point.inflate, point.rest = zlib.decompressobj(_GZIP), rest
            data = point.rest or self._packed(point)
            try:
                piece: bytes = point.inflate.decompress(data, _PIECE)
            except zlib.error as error:
                problem = f"is damaged after {point.at:,} unpacked bytes ({error})"
                raise DataError(self.name, problem, "write or download it again") from None
            point.rest = point.inflate.unconsumed_tail
            point.at += len(piece)
            if piece:
                return piece
            if not data and not point.inflate.eof:
                problem = f"is cut off after {point.at:,} unpacked bytes"
                raise DataError(self.name, problem, "write or download it again")

    def _packed(self, point: _Unpacker) -> bytes:
        data = self.file.read(point.packed, min(point.packed + _CHUNK, self.file.size))
        point.packed += len(data)
        return data


class _Stream(io.RawIOBase):
    """The unpacked bytes from start to end, for reading line by line."""

    def __init__(self, file: GzipFile) -> None:
        self._pieces = self._all(file)
        self._left = b""
        self.size = 0

    def _all(self, file: GzipFile) -> Iterator[bytes]:
        point = _Unpacker(zlib.decompressobj(_GZIP))
        while piece := file.step(point):
            self.size = point.at
            yield piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._pieces, b"")
        taken = min(len(buffer), len(self._left))
        buffer[:taken], self._left = self._left[:taken], self._left[taken:]
        return taken


def gzip_rows(path: Path, name: str) -> JsonRows:
    """JSONL in gzip. Raises DataError for a damaged or empty file."""
    file = GzipFile(StoredFile.of(path, name))
    stream = _Stream(file)
    buffered: BinaryIO = io.BufferedReader(stream, 1 << 20)
    rows = index_lines(file, buffered)
    file.span = max(_LEAST_SPAN, stream.size // _MOST_MARKS)
    return rows
