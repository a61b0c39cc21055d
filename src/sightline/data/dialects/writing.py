"""What a dialect cannot say is refused by name when a sample is written in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sightline.core.errors import DataError
from sightline.data.dialects.media import write_media
from sightline.data.sample import Media, MediaKind, Part, Places, Sample, Text, Turn

MARKS: dict[MediaKind, str] = {"image": "<image>", "video": "<video>"}


def refusal(
    sample: Sample, what: str, dialect: str, fix: str = "write it in another dialect"
) -> DataError:
    """The error about a sample that a dialect cannot say."""
    return DataError(sample.id, f"has {what}, which {dialect} rows cannot say", fix)


def check_said(
    sample: Sample,
    dialect: str,
    *,
    kind: str = "conversation",
    media: Sequence[MediaKind] = ("image",),
    can: Collection[str] = (),
    keys: Collection[str] = (),
) -> None:
    """Raises DataError for what a dialect cannot say.

    can: of `places`, `weights`, `tools` those that it can; keys: its own fields, which no column
    may be called.
    """
    turns = (*sample.turns, *(sample.rejected or ()))
    if sample.kind != kind:
        raise DataError(sample.id, f"is a {sample.kind}, not a {kind}", "write it in its dialect")
    if other := [item for turn in turns for item in turn.media if item.kind not in media]:
        raise refusal(sample, f"a {other[0].kind}", dialect)
    if any(item.fps is not None for turn in turns for item in turn.media) and "fps" not in can:
        raise refusal(sample, "a rate of frames", dialect)
    if "places" not in can and any(isinstance(p, Places) for turn in turns for p in turn.parts):
        raise refusal(sample, "boxes or points", dialect, "write it as swift")
    if "weights" not in can and any(turn.weight != 1 for turn in turns):
        raise refusal(sample, "weights of turns", dialect)
    if "tools" not in can and sample.tools is not None:
        raise refusal(sample, "tools", dialect)
    if clash := [key for key in sample.columns if key in keys]:
        raise refusal(sample, f"a column {clash[0]!r}, a field of its own", dialect)


def marked(
    sample: Sample, parts: Sequence[Part], dialect: str, marks: Mapping[MediaKind, str] = MARKS
) -> str:
    """Words with a placeholder for each medium."""
    return "".join(mark_of(sample, part, dialect, marks) for part in parts)


def mark_of(sample: Sample, part: Part, dialect: str, marks: Mapping[MediaKind, str]) -> str:
    """The words of a part, or the placeholder of a medium."""
    match part:
        case Text(text=text):
            if any(mark in text for mark in (*marks.values(), "<audio>")):
                raise refusal(sample, "a placeholder among its words", dialect)
            return text
        case Media(kind=kind):
            return marks[kind]
        case Places():
            raise refusal(sample, "boxes or points", dialect, "write it as swift")


def media_lists(turns: Sequence[Turn]) -> dict[str, Any]:
    """`images` and `videos`, where there are any, in the order of the conversation."""
    lists: dict[str, Any] = {}
    for turn in turns:
        for media in turn.media:
            lists.setdefault(f"{media.kind}s", []).append(write_media(media))
    return lists


def split_system(turns: Sequence[Turn]) -> tuple[str | None, tuple[Turn, ...]]:
    """The words of the system message, and the other turns."""
    if turns[0].role == "system":
        return turns[0].text, tuple(turns[1:])
    return None, tuple(turns)
