"""Contents with typed parts that hold their own media: OpenAI, Hugging Face, Axolotl, Anthropic.

| part                                                          | source                      |
|---------------------------------------------------------------|-----------------------------|
| `{"type": "image", ..}`, also video, document                 | `image`, path, url, base64  |
| `{"type": "image_url", "image_url": {"url"}}`, also video_url | OpenAI; the URL may be bare |
| `{"type": "image", "source": {..}}`, also document            | Anthropic: data, or url     |

A `url` may be a data URI, a file:// URI or a path; what would have to be fetched is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import entry, text_of
from sightline.data.dialects.media import from_base64, read_media, write_media
from sightline.data.sample import Media, MediaKind, Part, Places, Text

KINDS: tuple[MediaKind, ...] = ("image", "video", "document")
_URLS: dict[str, MediaKind] = {"image_url": "image", "video_url": "video"}
_LIMITS = ("min_pixels", "max_pixels", "resized_height", "resized_width", "detail")


def read_parts(content: object, place: str, context: Context) -> list[Part]:
    """A string, or a list of typed parts. Raises DataError."""
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list | tuple):
        problem = f"is a {type(content).__name__}"
        raise context.wrong(place, problem, "give a string or a list of parts")
    return [_part(part, f"{place}.{i}", context) for i, part in enumerate(content)]


def _part(part: object, place: str, context: Context) -> Part:
    kind = part_type(part, place, context)
    assert isinstance(part, Mapping)
    if kind == "text":
        keys = entry(part, place, context, needs=("type", "text"), knows=("cache_control",))
        return Text(text_of(keys["text"], f"{place}.text", context))
    if kind in _URLS:
        return _url_part(part, kind, place, context)
    for known in KINDS:
        if kind == known:
            return _media_part(part, known, place, context)
    if "audio" in kind:
        problem = f"{kind!r} is sound, which Sightline does not read"
        raise context.wrong(f"{place}.type", problem, "leave the row out")
    fix = f"use text, {', '.join(KINDS)}, {' or '.join(_URLS)}"
    raise context.wrong(f"{place}.type", f"{kind!r:.40} is unknown", fix)


def part_type(part: object, place: str, context: Context) -> str:
    """The type of a part. Raises DataError for what is no part."""
    if isinstance(part, Mapping) and isinstance(part.get("type"), str):
        return str(part["type"])
    raise context.wrong(place, "is no typed part", 'give {"type": "text", "text": ...}')


def _url_part(part: Mapping[Any, Any], kind: str, place: str, context: Context) -> Media:
    value = entry(part, place, context, needs=("type", kind), knows=())[kind]
    where = f"{place}.{kind}"
    if isinstance(value, Mapping):
        keys = entry(value, where, context, needs=("url",), knows=("detail",))
        if keys.get("detail") not in (None, "auto"):
            fix = "leave it out: the model's resolution says how pictures are seen"
            problem = f"{keys['detail']!r:.40} is not supported"
            raise context.wrong(f"{where}.detail", problem, fix)
        value, where = keys["url"], f"{where}.url"
    return read_media(_URLS[kind], text_of(value, where, context), where, context)


def _media_part(part: Mapping[Any, Any], kind: MediaKind, place: str, context: Context) -> Media:
    ways = (kind, "path", "url", "base64", "source")
    keys = entry(
        part, place, context, needs=("type",), knows=(*ways, "fps", *_LIMITS, "cache_control")
    )
    if limit := next((key for key in _LIMITS if key in keys), None):
        fix = "leave it out: the model's resolution says how pictures are seen"
        raise context.wrong(f"{place}.{limit}", "is not supported", fix)
    given = [way for way in ways if way in keys]
    if len(given) != 1:
        found = " and ".join(given) or "no source"
        raise context.wrong(place, f"has {found}", f"give exactly one of {', '.join(ways)}")
    fps = _rate(keys.get("fps"), kind, place, context)
    value = keys[given[0]]
    if given[0] == "source" and isinstance(value, Mapping):
        return _anthropic(value, kind, f"{place}.source", context)
    if given[0] == "base64":
        return Media(kind, from_base64(value, f"{place}.base64", context), fps)
    return read_media(kind, value, f"{place}.{given[0]}", context, fps)


def _rate(value: object, kind: MediaKind, place: str, context: Context) -> float | None:
    if value is None:
        return None
    if kind == "video" and isinstance(value, int | float) and 0 < value < float("inf"):
        return float(value)
    raise context.wrong(f"{place}.fps", f"is {value!r:.40}", "give frames per second of a video")


def _anthropic(source: Mapping[Any, Any], kind: MediaKind, place: str, context: Context) -> Media:
    keys = entry(source, place, context, needs=("type",), knows=("media_type", "data", "url"))
    match keys["type"]:
        case "base64" if "data" in keys:
            return Media(kind, from_base64(keys["data"], f"{place}.data", context))
        case "url" if "url" in keys:
            return read_media(kind, keys["url"], f"{place}.url", context)
    raise context.wrong(place, f"of type {keys['type']!r:.40} is not read", "give base64 and data")


def write_parts(parts: tuple[Part, ...]) -> Any:
    """A string where there are only words, else typed parts that hold their media."""
    if all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_written(part) for part in parts]


def _written(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Media(kind=kind, fps=fps):
            rate = {} if fps is None else {"fps": fps}
            return {"type": kind, kind: write_media(part), **rate}
        case Places():
            raise AssertionError("refused before")
