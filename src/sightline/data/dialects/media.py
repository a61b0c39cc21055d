"""Pictures and clips as rows name them, and the placeholders that stand for them in texts."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sightline.data.dialects.context import Context
from sightline.data.sample import Media, MediaKind, Part, Text

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_FETCH = (
    "download the file first and write its path (huggingface-cli download, img2dataset or wget)"
)


def read_media(
    kind: MediaKind, value: object, place: str, context: Context, fps: float | None = None
) -> Media:
    """A picture, clip or document from whatever a row holds.

    value: a path (relative ones are joined to the context's folder), a file:// or data URI, bytes,
    `{"bytes", "path"}` as `datasets` stores them, a PIL image or an array; of a clip a list of
    these, its frames. Raises DataError for URLs: nothing is fetched.
    """
    if kind == "video" and isinstance(value, list | tuple):
        if not value:
            raise context.wrong(place, "has no frames", "give at least one")
        frames = [_source(frame, f"{place}.{i}", context) for i, frame in enumerate(value)]
        return Media(kind, frames, fps)
    return Media(kind, _source(value, place, context), fps)


def read_all(kind: MediaKind, values: Sequence[Any], place: str, context: Context) -> list[Media]:
    """A list of pictures, or of clips."""
    return [read_media(kind, value, f"{place}.{i}", context) for i, value in enumerate(values)]


def from_base64(value: object, place: str, context: Context) -> bytes:
    """The bytes that base64 text holds. Raises DataError."""
    try:
        if isinstance(value, str | bytes):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise context.wrong(place, "is not base64", "encode the file's bytes as base64")


def _source(value: object, place: str, context: Context) -> object:
    match value:
        case str():
            return _named(value, place, context)
        case os.PathLike():
            return _named(os.fsdecode(value), place, context)
        case bytes() | bytearray() | memoryview() if len(value):
            return bytes(value)
        case Mapping():
            return _stored(value, place, context)
        case None | bool() | int() | float() | bytes() | bytearray() | memoryview():
            shown = "is empty" if isinstance(value, bytes) else f"is {value!r:.40}"
            raise context.wrong(place, shown, "give a path, bytes or a data URI")
        case list() | tuple():
            raise context.wrong(place, "is a list", "give one path, bytes or a data URI")
        case _:
            return value


def _named(name: str, place: str, context: Context) -> str | Path:
    if name[:5].lower() == "data:":
        return name
    if name[:7].lower() == "file://":
        return _of_uri(name, place, context)
    if _URL.match(name):
        raise context.wrong(place, f"is the URL {name:.80}, and nothing is fetched", _FETCH)
    if not name.strip():
        raise context.wrong(place, "is empty", "give a path, bytes or a data URI")
    return Path(name) if context.media is None else context.media / name


def _of_uri(name: str, place: str, context: Context) -> Path:
    try:
        return Path(unquote(urlsplit(name).path))
    except ValueError as error:
        problem = f"is {name!r:.80}, which is no address ({error})"
        raise context.wrong(place, problem, "write the path alone") from None


def _stored(value: Mapping[Any, Any], place: str, context: Context) -> object:
    """As `datasets` stores a file: its bytes, or the path of it."""
    if unknown := [key for key in value if key not in ("bytes", "path")]:
        raise context.wrong(place, f"has an unknown key {unknown[0]!r}", "give bytes and path")
    data, path = value.get("bytes"), value.get("path")
    return _source(path if data is None else data, place, context)


def write_media(media: Media) -> Any:
    """What a row holds for a medium: paths and data URIs as text, bytes as `datasets` has them."""
    return _written(media.source)


def _written(source: object) -> Any:
    match source:
        case Path():
            return str(source)
        case bytes():
            return {"bytes": source, "path": None}
        case list() | tuple():
            return [_written(frame) for frame in source]
        case _:
            return source


class Dealer:
    """Media of a row, dealt to the placeholders of its texts in their order.

    marks: the placeholders, and what kind each stands for.
    """

    def __init__(
        self,
        context: Context,
        media: Mapping[MediaKind, Sequence[Media]],
        marks: Mapping[str, MediaKind],
    ) -> None:
        self._context, self._marks = context, marks
        self._media = {kind: list(items) for kind, items in media.items()}
        self._dealt = dict.fromkeys(self._media, 0)
        self._split = re.compile("(" + "|".join(map(re.escape, marks)) + ")")

    @property
    def none_dealt(self) -> bool:
        return not any(self._dealt.values())

    @property
    def undealt(self) -> list[Media]:
        """What is left, pictures first."""
        return [m for kind, items in self._media.items() for m in items[self._dealt[kind] :]]

    def parts(self, text: str) -> list[Part]:
        """A text with media in place of its placeholders. Where there are more placeholders than
        media, the last are counted and `check` tells of them."""
        pieces = self._split.split(text)
        parts = [self._next(self._marks[p]) if p in self._marks else Text(p) for p in pieces]
        return [part for part in parts if part is not None and part != Text("")]

    def _next(self, kind: MediaKind) -> Media | None:
        at = self._dealt[kind]
        self._dealt[kind] += 1
        return self._media[kind][at] if at < len(self._media[kind]) else None

    def check(self) -> None:
        """Raises DataError unless every placeholder had its medium and every medium its place."""
        for kind, items in self._media.items():
            if (found := self._dealt[kind]) != len(items):
                mark = " or ".join(mark for mark, of in self._marks.items() if of == kind)
                problem = f"{found} {mark} in the text for {len(items)} {kind}s"
                fix = f"write one {mark} for each {kind}"
                if self.none_dealt:
                    fix += ", or say `media_first: true` in the recipe"
                raise self._context.wrong(f"{kind}s", problem, fix)
