"""Rows of JSON: one a line, or the items of one list. Offsets are kept, rows are read by seek."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.data.sources.json_text import decoded, parse_row
from sightline.data.sources.table import StoredFile, reading

_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\r\n]*")


class Bytes(Protocol):
    """A file that gives any stretch of its (unpacked) bytes."""

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str: ...

    def read(self, start: int, end: int) -> bytes: ...


@dataclass(frozen=True)
class JsonRows:
    """Row i is the text at starts[i]..ends[i]-1; numbers: what people count it as, if not i + 1."""

    file: Bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    numbers: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def row(self, index: int) -> dict[str, Any]:
        data = self.file.read(int(self.starts[index]), int(self.ends[index]))
        return parse_row(data, self.where(index))

    def where(self, index: int) -> str:
        number = index + 1 if self.numbers is None else int(self.numbers[index])
        return f"{self.file.name}:{number}"

    def folder(self, index: int) -> Path:
        return self.file.path.parent


def line_rows(path: Path, name: str) -> JsonRows:
    """JSONL: a mapping a line; blank lines are skipped. Raises DataError for an empty file."""
    file = StoredFile.of(path, name)
    with reading(name), open(path, "rb") as stream:
        return index_lines(file, stream)


def index_lines(file: Bytes, stream: BinaryIO) -> JsonRows:
    """Where each line that is not blank starts and ends."""
    starts, ends, numbers, at, number = array("q"), array("q"), array("q"), 0, 0
    for number, line in enumerate(stream, 1):
        start, at = at, at + len(line)
        if number == 1 and line.startswith(_BOM):
            start, line = len(_BOM), line[len(_BOM) :]
        if line.isspace() and not line.strip(_BLANK):
            continue
        starts.append(start)
        ends.append(at)
        numbers.append(number)
    if not starts:
        raise DataError(file.name, "has no rows", "leave it out, or write it again")
    plain = numbers[-1] == len(numbers)
    return JsonRows(file, _fixed(starts), _fixed(ends), None if plain else _fixed(numbers))


def _fixed(numbers: array[int]) -> NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)


def list_rows(path: Path, name: str) -> JsonRows:
    """The items of a JSON list, read whole once. Raises DataError for a list that is cut off."""
    file = StoredFile.of(path, name)
    with reading(name):
        data = path.read_bytes()
    text = decoded(data.removeprefix(_BOM), name)
    items = list(_items(text, name))
    if not items:
        raise DataError(name, "is an empty list", "leave it out, or write it again")
    spans = np.array(items, dtype=np.int64)
    spans = _byte_offsets(spans, text) + (len(data) - len(data.removeprefix(_BOM)))
    return JsonRows(file, np.ascontiguousarray(spans[:, 0]), np.ascontiguousarray(spans[:, 1]))


def _items(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Start and end of each item, in characters."""
    decode = json.JSONDecoder().raw_decode
    at, row = _skip(text, 0), 1
    if text[at : at + 1] != "[":
        raise DataError(name, "is not a JSON list of rows", "write [{...}, {...}]")
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        _check_end(text, at + 1, name)
        return
    while True:
        try:
            _, end = decode(text, at)
        except (ValueError, RecursionError) as error:
            raise _broken(text, name, row, error) from None
        yield at, end
        at = _skip(text, end)
        match text[at : at + 1]:
            case ",":
                at, row = _skip(text, at + 1), row + 1
            case "]":
                _check_end(text, at + 1, name)
                return
            case _:
                reason = "expecting a comma or the end of the list"
                raise _broken(text, name, row, json.JSONDecodeError(reason, text, at))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _check_end(text: str, at: int, name: str) -> None:
    if _skip(text, at) < len(text):
        problem = "goes on after the end of its list"
        raise DataError(name, problem, "write one list, or one row a line (.jsonl)")


def _broken(text: str, name: str, row: int, error: Exception) -> DataError:
    if isinstance(error, json.JSONDecodeError):
        if not text[error.pos :].strip(" \t\r\n") or "unterminated" in error.msg.lower():
            problem = f"ends in the middle of row {row}: it is cut off"
            return DataError(f"{name}:{row}", problem, "write or download it again")
        reason = f"{error.msg.lower()}, line {error.lineno}, column {error.colno}"
    else:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:80].lower()
    problem = f"is not JSON ({reason}), and no row can be found behind it"
    return DataError(f"{name}:{row}", problem, "mend it there")


def _byte_offsets(spans: NDArray[np.int64], text: str) -> NDArray[np.int64]:
    """Offsets in characters as offsets in UTF-8."""
    if text.isascii():
        return spans
    flat, at, byte = spans.reshape(-1), 0, 0
    for i, character in enumerate(flat.tolist()):
        byte += len(text[at:character].encode("utf-8"))
        flat[i], at = byte, character
    return spans


def sniff_json(path: Path, name: str) -> Literal["list", "lines", "mapping"]:
    """What a .json file holds. Raises DataError for other values, and for an empty file."""
    with reading(name), open(path, "rb") as stream:
        first = _first_byte(stream)
        if first == b"[":
            return "list"
        if not first:
            raise DataError(name, "is empty", "leave it out, or write it again")
        if first != b"{":
            fix = "give a list of mappings"
            raise DataError(name, "is neither a JSON list nor rows of JSON", fix)
        line, more = stream.readline(), any(line.strip(_BLANK) for line in stream)
    try:
        json.loads(b"{" + line)
    except ValueError:
        return "mapping"
    return "lines" if more else "mapping"


def _first_byte(stream: BinaryIO) -> bytes:
    """The first byte that is not blank; none at the end."""
    if stream.read(len(_BOM)) != _BOM:
        stream.seek(0)
    while (byte := stream.read(1)) and byte in _BLANK:
        pass
    return byte


def read_mapping(path: Path, name: str) -> dict[str, Any]:
    """A file that is one JSON mapping. Raises DataError."""
    with reading(name):
        data = path.read_bytes()
    return parse_row(data.removeprefix(_BOM), name)
