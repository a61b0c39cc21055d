"""What users say: roles and parts, checked once and frozen. `<image>` in a text is a word."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from sightline.core.errors import PromptError

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words of the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture: path, bytes, PIL image, array or data URI; `pictures` opens it."""

    source: object


@dataclass(frozen=True, slots=True)
class VideoPart:
    """A clip: path, bytes or frames; `fps` is the rate of frames, which cannot say it."""

    source: object
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """A document of pages: path or bytes.

    Pages `first` to `last`, from 1, are drawn at `dpi` dots per inch, or at fewer so that they take
    at most `budget` visual tokens.
    """

    source: object
    dpi: float | None = None
    first: int = 1
    last: int | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class FramesPart:
    """A clip that a model reads as `count` pictures: the words that stand for it, placeholders in
    them. Only `clip_words` makes one: they are the template's words and not content."""

    words: str
    count: int


MediaPart = ImagePart | VideoPart | DocumentPart | FramesPart
Part = TextPart | MediaPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `plain` says that its content was given as a string and not as parts."""

    role: Role
    parts: tuple[Part, ...]
    plain: bool = False

    @property
    def text(self) -> str:
        """The text parts, joined by nothing."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def media(self) -> tuple[MediaPart, ...]:
        return tuple(part for part in self.parts if not isinstance(part, TextPart))


def parse_messages(messages: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Read OpenAI-style messages: `{"role", "content"}`, content a string or a list of parts.

    Parts: `{"type": "text", "text"}`, `{"type": "image" | "video" | "document", ...}` with exactly
    one of a key named as the type (path, bytes, PIL image, array), `path`, `url` (a data URI) or
    `base64`, and OpenAI's `{"type": "image_url", "image_url": {"url"} | str}`. A video may have
    `fps` beside it, a document `dpi`, `first`, `last` and `budget`.

    Raises PromptError, naming the place, for no messages, an unknown role, key or part type, a
    missing or wrong value, and a message without words or media.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise PromptError(
            "messages", f"is a {type(messages).__name__}", "give a list of role and content"
        )
    if not messages:
        raise PromptError("messages", "is empty", "give at least one message")
    return tuple(_message(message, f"messages.{i}") for i, message in enumerate(messages))


def media_of(messages: Sequence[Message]) -> tuple[MediaPart, ...]:
    """All pictures, clips and documents, in the order of the conversation."""
    return tuple(part for message in messages for part in message.media)


def _message(message: object, field: str) -> Message:
    keys = _mapping(message, field, required=("role", "content"), allowed=("role", "content"))
    role, content = keys["role"], keys["content"]
    if role not in get_args(Role):
        raise PromptError(
            f"{field}.role", f"{role!r} is unknown", f"use one of {', '.join(get_args(Role))}"
        )
    parts = _parts(content, f"{field}.content")
    if not any(not isinstance(part, TextPart) or part.text.strip() for part in parts):
        raise PromptError(f"{field}.content", "is empty", f"say something as {role}")
    return Message(role, parts, plain=isinstance(content, str))


def _parts(content: object, field: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(_words(content, field)),)
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return tuple(_part(part, f"{field}.{i}") for i, part in enumerate(content))
    raise PromptError(field, f"is a {type(content).__name__}", "give a string or a list of parts")


def _part(part: object, field: str) -> Part:
    kind = _mapping(part, field, required=("type",))["type"]
    match kind:
        case "text":
            keys = _mapping(part, field, required=("type", "text"), allowed=("type", "text"))
            return TextPart(_words(keys["text"], f"{field}.text"))
        case "image":
            return ImagePart(*_media(part, "image", field))
        case "video":
            return VideoPart(*_media(part, "video", field, fps=float))
        case "document":
            options = {"dpi": float, "first": int, "last": int, "budget": int}
            source, dpi, first, last, budget = _media(part, "document", field, **options)
            return DocumentPart(source, dpi, 1 if first is None else first, last, budget)
        case "image_url":
            return ImagePart(_image_url(part, field))
    raise PromptError(
        f"{field}.type", f"{kind!r} is unknown", "use text, image, image_url, video or document"
    )


def _media(part: object, kind: str, field: str, **options: type) -> tuple[Any, ...]:
    """The one source that the part names, and its numbers (None for those left out)."""
    ways = (kind, "path", "url", "base64")
    keys = _mapping(part, field, required=("type",), allowed=("type", *ways, *options))
    numbers = [_number(keys.get(name), of, f"{field}.{name}") for name, of in options.items()]
    return _source(keys, ways, field), *numbers


def _number(value: object, of: type, field: str) -> Any:
    if value is None:
        return None
    fits = isinstance(value, int | float) if of is float else isinstance(value, int)
    if not fits or isinstance(value, bool) or not 0 < value < float("inf"):  # type: ignore[operator]
        what = "a number" if of is float else "a whole number"
        raise PromptError(field, f"is {value!r:.60}", f"give {what} over 0")
    return value


def _source(keys: Mapping[str, Any], ways: Sequence[str], field: str) -> object:
    given = [way for way in ways if keys.get(way) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "no source"
        raise PromptError(field, f"has {found}", f"give exactly one of {', '.join(ways)}")
    way, value = given[0], keys[given[0]]
    where = f"{field}.{way}"
    if way == "path":
        return _path(value, where)
    if way == "url":
        return _data_uri(value, where)
    return _from_base64(value, where) if way == "base64" else value


def _image_url(part: object, field: str) -> str:
    allowed = ("type", "image_url")
    value = _mapping(part, field, required=allowed, allowed=allowed)["image_url"]
    where = f"{field}.image_url"
    if isinstance(value, str):
        return _data_uri(value, where)
    keys = _mapping(value, where, required=("url",), allowed=("url", "detail"))
    if keys.get("detail") not in (None, "auto"):
        raise PromptError(
            f"{where}.detail", f"{keys['detail']!r} is not supported", "leave it out or use auto"
        )
    return _data_uri(keys["url"], f"{where}.url")


def _data_uri(value: object, field: str) -> str:
    if isinstance(value, str) and value[:5].lower() == "data:":
        return value
    shown = f"{value!r:.60}" if isinstance(value, str) else f"a {type(value).__name__}"
    raise PromptError(
        field, f"is {shown}, not a data URI", "nothing is fetched: give a data URI, path or bytes"
    )


def _path(value: object, field: str) -> Path:
    if isinstance(value, str | Path):
        return Path(value)
    raise PromptError(field, f"is a {type(value).__name__}", "give a path")


def _from_base64(value: object, field: str) -> bytes:
    if not isinstance(value, str | bytes):
        raise PromptError(field, f"is a {type(value).__name__}", "give base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PromptError(field, "is not base64", "encode the file's bytes as base64") from None


def _words(value: object, field: str) -> str:
    """A plain string that can be written as UTF-8."""
    if not isinstance(value, str):
        raise PromptError(field, f"is a {type(value).__name__}", "give a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        problem = f"has a lone surrogate at character {error.start}"
        raise PromptError(field, problem, "give valid Unicode text") from None
    return str.__str__(value)  # an exact str, whatever subclass came


def _mapping(
    value: object, field: str, *, required: Sequence[str], allowed: Sequence[str] | None = None
) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise PromptError(field, f"is a {type(value).__name__}", "give a mapping")
    if missing := [key for key in required if key not in value]:
        raise PromptError(field, f"lacks {missing[0]!r}", f"give {', '.join(required)}")
    if allowed is not None and (unknown := [key for key in value if key not in allowed]):
        raise PromptError(
            field, f"has an unknown key {unknown[0]!r}", f"known keys are {', '.join(allowed)}"
        )
    return value
