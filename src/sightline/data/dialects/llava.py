"""LLaVA's conversations: `{image?, video?, conversations: [{from, value}]}`.

`image` is one or a list; `<image>` in a value marks where each stands (`<video>` or `<image>` that
of a clip). A newline between a placeholder at either end of a message and its words belongs to the
placeholder: the template writes its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import (
    NOT_READ,
    Fields,
    compares,
    entry,
    given_in,
    items_of,
    mappings,
    same,
    text_of,
)
from sightline.data.dialects.media import Dealer, read_all, write_media
from sightline.data.dialects.turns import Said, media_first, role_of, said, settled
from sightline.data.dialects.writing import MARKS, check_said, mark_of
from sightline.data.sample import Media, MediaKind, Part, Role, Sample, Turn

NAMES = same("conversations", "image", "video")
ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}
_NAMES_OF: dict[Role, str] = {role: name for name, role in ROLES.items()}
_LEAD = re.compile(r"(?:<(?:image|video)>\n?)+")
_TRAIL = re.compile(r"(?:\n?<(?:image|video)>)+\Z")


def fits(row: Mapping[str, Any]) -> bool:
    """A list of from and value, and no fields of ShareGPT's."""
    turns = row.get("conversations")
    if compares(row) or given_in(row, "images", "videos", "system", "tools"):
        return False
    return mappings(turns, "from", "value") and all(
        isinstance(turn["from"], str) and turn["from"] in ROLES for turn in turns
    )


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    dealer = dealer_of(fields)
    turns = [
        _turn(item, f"conversations.{i}", dealer, context)
        for i, item in enumerate(items_of(fields.need("conversations"), "conversations", context))
    ]
    turns = dealt(dealer, turns, context)
    fields.refuse(NOT_READ)
    return Sample(context.where, settled(turns, context, "conversations"), columns=fields.rest())


def dealer_of(fields: Fields) -> Dealer:
    """The row's `image` and `video`, ready for its placeholders. In a row with clips alone
    `<image>` marks a clip, as in LLaVA-Video's data."""
    context = fields.context
    images = read_all("image", fields.several("image"), fields.name("image"), context)
    videos = read_all("video", fields.several("video"), fields.name("video"), context)
    clips_only = bool(videos) and not images
    marks: dict[str, MediaKind] = {
        "<image>": "video" if clips_only else "image",
        "<video>": "video",
    }
    return Dealer(context, {"image": images, "video": videos}, marks)


def dealt(dealer: Dealer, turns: list[Said], context: Context) -> list[Said]:
    """Turns with all media in their places. Raises DataError where the counts differ."""
    if context.media_first and dealer.none_dealt:
        return media_first(dealer.undealt, turns)
    dealer.check()
    return turns


def _turn(item: object, place: str, dealer: Dealer, context: Context) -> Said:
    keys = entry(item, place, context, needs=("from", "value"), knows=())
    role = role_of(keys["from"], ROLES, f"{place}.from", context)
    return said(place, role, parts_of(text_of(keys["value"], f"{place}.value", context), dealer))


def parts_of(text: str, dealer: Dealer) -> list[Part]:
    """Words and media, without the newlines of placeholders at either end."""
    lead = found[0] if (found := _LEAD.match(text)) else ""
    inner = text[len(lead) :]
    trail = found[0] if (found := _TRAIL.search(inner)) else ""
    inner = inner[: len(inner) - len(trail)]
    pieces = (lead.replace("\n", ""), inner, trail.replace("\n", ""))
    return [part for piece in pieces for part in dealer.parts(piece)]


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    check_said(sample, "llava", media=("image", "video"), keys=NAMES)
    row: dict[str, Any] = {}
    for kind in ("image", "video"):
        held = [write_media(media) for media in sample.media if media.kind == kind]
        alone = len(held) == 1 and not isinstance(held[0], list)
        row |= {kind: held[0] if alone else held} if held else {}
    turns = [
        {"from": _NAMES_OF[turn.role], "value": written(sample, turn)} for turn in sample.turns
    ]
    return {**row, "conversations": turns, **sample.columns}


def written(sample: Sample, turn: Turn) -> str:
    """A message with its placeholders, those at either end on lines of their own."""
    parts = list(turn.parts)
    media = [isinstance(part, Media) for part in parts]
    lead = media.index(False) if False in media else len(parts)
    trail = len(parts) - lead if lead == len(parts) else media[::-1].index(False)
    texts = [mark_of(sample, part, "llava", MARKS) for part in parts]
    if lead == len(parts):
        return "\n".join(texts)
    stop = len(parts) - trail
    head = "".join(f"{text}\n" for text in texts[:lead])
    tail = "".join(f"\n{text}" for text in texts[stop:])
    return head + "".join(texts[lead:stop]) + tail
