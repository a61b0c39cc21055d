"""What the members of one WebDataset key say together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.core.errors import DataError
from sightline.data.sources.json_text import decoded, parse_value

PICTURES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})
_CLIPS = frozenset({"mp4", "webm", "mov", "mkv", "avi"})
_TEXTS = frozenset({"txt", "caption", "cls"})
READ = PICTURES | _CLIPS | _TEXTS | {"json"}


def row_of(members: Mapping[str, bytes], where: str) -> dict[str, Any]:
    """The fields of the .json member, the text of .txt (or .cls) as `text`, and the pictures.

    Pictures that the JSON names (`image: 000.jpg`, or only `jpg`) take their place there; the
    others are `image`, or `images` if there are several. Clips likewise, as `video` or `videos`.
    Raises DataError.
    """
    row = _fields(members, where)
    for kind in ("txt", "caption", "cls"):
        if kind in members:
            _add_text(row, kind, decoded(members[kind], where).strip(), where)
    for field, suffixes in (("image", PICTURES), ("video", _CLIPS)):
        media = {kind: data for kind, data in members.items() if _suffix(kind) in suffixes}
        _place(row, field, media, where)
    return row


def _add_text(row: dict[str, Any], kind: str, text: str, where: str) -> None:
    """A class is the caption of a picture that has no other words."""
    if kind != "cls":
        if row.get("text", text) != text:
            problem = f"has one text in .{kind} and another in its other members"
            raise DataError(where, problem, "keep one of them")
        row["text"] = text
        if row.get("caption") == text:  # img2dataset writes it twice
            del row["caption"]
    elif row:
        row["cls"] = text
    elif text.isdigit():
        fix = "write the name of the class into .cls, or a caption into .txt"
        raise DataError(where, f"has the class {text} without a name", fix)
    else:
        row["text"] = text


def _fields(members: Mapping[str, bytes], where: str) -> dict[str, Any]:
    if "json" not in members:
        return {}
    value = parse_value(members["json"], where)
    if isinstance(value, list):
        raise DataError(where, "has a .json that is a list", 'write {"field": value, ...}')
    if not isinstance(value, dict):
        raise DataError(where, "has a .json that is no mapping", 'write {"field": value, ...}')
    return value


def _place(row: dict[str, Any], field: str, media: Mapping[str, bytes], where: str) -> None:
    many = field + "s"
    named = [name for name in (field, many) if row.get(name) not in (None, [], "")]
    if not media:
        return
    if not named:
        row.pop(field, None)
        row.pop(many, None)
        row[field if len(media) == 1 else many] = (
            next(iter(media.values())) if len(media) == 1 else list(media.values())
        )
        return
    left = dict(media)
    for name in named:
        row[name] = _resolved(row[name], media, left, where)
    if left:
        problem = f"has the member .{next(iter(left))}, which its JSON does not name"
        raise DataError(where, problem, f"name it in {named[0]}, or leave it out")


def _resolved(value: Any, media: Mapping[str, bytes], left: dict[str, bytes], where: str) -> Any:
    if isinstance(value, list):
        return [_resolved(item, media, left, where) for item in value]
    if not isinstance(value, str):
        raise DataError(where, f"names a {type(value).__name__} as a member", "name its suffix")
    fitting = [kind for kind in media if value == kind or value.endswith(f".{kind}")]
    if not fitting:
        problem = f"names {value!r:.80}, but has only .{', .'.join(media)}"
        raise DataError(where, problem, "name a member of the row")
    kind = max(fitting, key=len)  # x.seg.jpg ends with .jpg too
    left.pop(kind, None)
    return media[kind]


def _suffix(kind: str) -> str:
    return kind.rpartition(".")[2].lower()
