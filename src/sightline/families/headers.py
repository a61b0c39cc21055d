"""Safetensors headers, read as plain JSON: names, shapes, dtypes and byte ranges without torch."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.errors import FolderError, WeightError

INDEX = "model.safetensors.index.json"
BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "U16": 2, "U32": 4, "U64": 8, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "C64": 8,
}  # fmt: skip
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies: bytes `start`..`end` of `file`."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_index(folder: Path) -> dict[str, TensorInfo]:
    """Every tensor of the safetensors files of `folder`, by name; empty if there are none.

    Raises WeightError for a truncated or damaged file, a shard that the index names and the folder
    lacks, and tensors that the index and the shards do not agree about.
    """
    index = folder / INDEX
    files = _indexed(index) if index.is_file() else _single(folder)
    found: dict[str, TensorInfo] = {}
    for file, promised in files.items():
        header = read_header(file)
        if absent := sorted(promised - set(header)):
            raise WeightError(absent[0], f"is promised by {INDEX} in {file.name} and not there",
                              "download the folder again")  # fmt: skip
        if twice := sorted(set(header) & set(found)):
            raise WeightError(twice[0], f"is in {found[twice[0]].file.name} and in {file.name}",
                              "remove one of the files")  # fmt: skip
        found |= header
    return found


def read_header(file: Path) -> dict[str, TensorInfo]:
    """The tensors of one file. Raises WeightError if the file is damaged or cut short."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
        if not 0 < length <= min(size - 8, _MAX_HEADER_BYTES):
            raise _damaged(file, f"{size} bytes do not hold its header")
        try:
            header: dict[str, Any] = json.loads(stream.read(length))
        except ValueError:
            raise _damaged(file, "its header is not JSON") from None
    header.pop("__metadata__", None)
    base = 8 + length
    return {name: _info(file, name, entry, base, size) for name, entry in header.items()}


def same_bytes(a: TensorInfo, b: TensorInfo) -> bool:
    """Whether two tensors are equal, compared in pieces."""
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    step = 1 << 22
    with a.file.open("rb") as left, b.file.open("rb") as right:
        left.seek(a.start)
        right.seek(b.start)
        rest = a.end - a.start
        while rest > 0:
            count = min(step, rest)
            if left.read(count) != right.read(count):
                return False
            rest -= count
    return True


def _info(file: Path, name: str, entry: Any, base: int, size: int) -> TensorInfo:
    try:
        shape = tuple(int(n) for n in entry["shape"])
        start, end = (base + int(n) for n in entry["data_offsets"])
        width = BYTES[entry["dtype"]]
    except (KeyError, TypeError, ValueError):
        raise _damaged(file, f"the entry of {name} is {entry!r:.80}") from None
    count = 1
    for n in shape:
        count *= n
    if end > size:
        raise _damaged(file, f"{name} ends at byte {end} of {size}")
    if start < base or end - start != count * width:
        raise _damaged(file, f"{name} has {end - start} bytes for shape {list(shape)}")
    return TensorInfo(file, entry["dtype"], shape, start, end)


def _indexed(index: Path) -> dict[Path, set[str]]:
    try:
        places: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files: dict[Path, set[str]] = {}
        for name, file in places.items():
            files.setdefault(index.parent / Path(file).name, set()).add(name)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WeightError(str(index), "has no weight_map", "download the folder again") from None
    if absent := sorted(file.name for file in files if not file.is_file()):
        raise WeightError(str(index.parent), f"lacks {', '.join(absent)}, which {INDEX} names",
                          "download the missing shards")  # fmt: skip
    return files


def _single(folder: Path) -> dict[Path, set[str]]:
    files = sorted(folder.glob("*.safetensors"))
    if len(files) > 1 and not (folder / "model.safetensors").is_file():
        raise FolderError(str(folder), f"has {len(files)} safetensors files and no {INDEX}",
                          "download the index too")  # fmt: skip
    chosen = folder / "model.safetensors"
    return {chosen if chosen.is_file() else file: set() for file in files[:1]}


def _damaged(file: Path, problem: str) -> WeightError:
    return WeightError(str(file), f"is damaged or cut short: {problem}", "download it again")
