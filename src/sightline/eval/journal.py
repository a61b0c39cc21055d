"""Answers on disk as they come, so that no question is asked twice."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.core.errors import DataError
from sightline.eval.answerer import Conversation
from sightline.eval.said import Said

PATTERN = "answers*.jsonl"


class Journal:
    """Answers by key, appended to a file of this process and read from those of all.

    A line that was cut off when a process was killed is left out; its question is asked again.
    Without a folder answers live in memory alone.
    """

    def __init__(self, folder: Path | None, writer: str = "answers") -> None:
        self.path = None if folder is None else folder / f"{writer}.jsonl"
        self.said: dict[str, Said] = {}
        self._lock = threading.Lock()
        if folder is not None:
            for path in sorted(folder.glob(PATTERN)):
                for key, said in _read(path):
                    self._keep(key, said)

    def add(self, found: Mapping[str, Said]) -> None:
        """Keep answers, from any thread: on disk before this returns."""
        with self._lock:
            for key, said in found.items():
                self._keep(key, said)
            if self.path is not None:
                self._append(self.path, found)

    @staticmethod
    def _append(path: Path, found: Mapping[str, Said]) -> None:
        with path.open("ab") as file:
            if file.tell() and not _ends_well(path):
                file.write(b"\n")
            for key, said in found.items():
                line = {"key": key, "said": said.as_dict()}
                file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _keep(self, key: str, said: Said) -> None:
        """An answer stands; a failure gives way to whatever comes later."""
        if said.failure is None or self.said.get(key, said).failure is not None:
            self.said[key] = said


def _read(path: Path) -> Iterator[tuple[str, Said]]:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            found = json.loads(line) if line.strip() else None
        except ValueError:
            continue  # cut off; asked again
        if found is not None:
            try:
                yield found["key"], Said.from_dict(found["said"])
            except (KeyError, TypeError) as error:
                problem = f"is no answer ({error!r:.80})"
                fix = "take the line or the file away; its questions are asked again"
                raise DataError(f"{path}:{number}", problem, fix) from None


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def answer_key(asked: Conversation, how: Mapping[str, Any]) -> str:
    """SHA-256 of what is said, pixels included, and of how it is asked (who, how long, ...).

    Pictures count by the bytes of their file, or of their array; never by their path.
    """
    digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    for message in asked:
        _feed(digest, message)
    return digest.hexdigest()


def _feed(digest: Any, value: object) -> None:
    """Everything is fed with its kind and length before it, so that nothing runs together."""
    match value:
        case Mapping():
            _head(digest, "mapping", len(value))
            for name in sorted(value):
                _feed(digest, name)
                _feed(digest, _opened(value[name]) if name in _MEDIA else value[name])
        case str():
            data = value.encode("utf-8", "surrogatepass")
            _head(digest, "text", len(data))
            digest.update(data)
        case bytes():
            _head(digest, "bytes", len(value))
            digest.update(value)
        case np.ndarray():
            _head(digest, f"{value.dtype} {value.shape}", value.nbytes)
            digest.update(np.ascontiguousarray(value).data)
        case Image.Image():
            _feed(digest, np.asarray(value.convert("RGBA")))
        case list() | tuple():
            _head(digest, "list", len(value))
            for part in value:
                _feed(digest, part)
        case None | bool() | int() | float():
            _feed(digest, repr(value))
        case _:
            problem = f"is a {type(value).__name__}, which has no digest"
            raise DataError("media", problem, "give a path, bytes, an array or a picture")


_MEDIA = ("image", "video", "document")


def _opened(source: object) -> object:
    """The bytes of a file that is named by its path."""
    if isinstance(source, list | tuple):
        return [_opened(part) for part in source]
    if isinstance(source, str) and source[:5].lower() != "data:":
        source = Path(source)
    return source.read_bytes() if isinstance(source, Path) else source


def _head(digest: Any, kind: str, size: int) -> None:
    digest.update(f"{kind} {size}\n".encode())


def missing(keys: Sequence[str], journal: Journal, *, failed: bool) -> list[int]:
    """Places of questions without an answer. `failed`: one that failed has none (a server may
    answer now; what a model here cannot take it will not take later)."""
    return [
        place
        for place, key in enumerate(keys)
        if (said := journal.said.get(key)) is None or (failed and said.failure is not None)
    ]
