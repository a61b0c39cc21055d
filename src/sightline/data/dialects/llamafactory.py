"""LLaMA-Factory v1: `{messages: [{role, content: [{type, value}], loss_weight}]}`, or the pair
`chosen_messages`, `rejected_messages`.

`loss_weight` of an answer counts its loss (1 where it is not given); a tool message is a user turn.
`<image>` in a text is words. Parts of reasoning and tool calls are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import (
    NOT_READ,
    Fields,
    entry,
    given_in,
    items_of,
    mappings,
    same,
    text_of,
)
from sightline.data.dialects.media import read_media, write_media
from sightline.data.dialects.turns import Said, essence, role_of, said, settled, weight_of
from sightline.data.dialects.writing import check_said, refusal
from sightline.data.sample import Media, MediaKind, Part, Places, Role, Sample, Text, Turn

NAMES = same("messages", "chosen_messages", "rejected_messages", "tools")
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
}
_KINDS: dict[str, MediaKind] = {"image_url": "image", "video_url": "video"}


def fits(row: Mapping[str, Any]) -> bool:
    """Messages, or a pair of them, whose contents are lists of type and value."""
    lists = [row[key] for key in NAMES if key != "tools" and given_in(row, key)]
    return bool(lists) and all(
        mappings(turns, "content") and all(mappings(t["content"], "type", "value") for t in turns)
        for turns in lists
    )


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    pair = fields.has("chosen_messages") or fields.has("rejected_messages")
    if pair and fields.has("messages"):
        raise context.wrong("messages", "are given beside a pair", "keep one of the two")
    turns = _turns(fields, "chosen_messages" if pair else "messages")
    rejected = _turns(fields, "rejected_messages") if pair else None
    if rejected is not None and essence(rejected) == essence(turns):
        problem = "is the same conversation as the chosen one"
        raise context.wrong("rejected_messages", problem, "leave the row out")
    tools = fields.tools()
    fields.refuse(NOT_READ)
    return Sample(context.where, turns, rejected, tools=tools, columns=fields.rest())


def _turns(fields: Fields, name: str) -> tuple[Turn, ...]:
    context, place = fields.context, fields.name(name)
    given = items_of(fields.need(name), place, context)
    turns = [_turn(item, f"{place}.{i}", context) for i, item in enumerate(given)]
    return settled(turns, context, place)


def _turn(item: object, place: str, context: Context) -> Said:
    keys = entry(item, place, context, needs=("role", "content"), knows=("loss_weight",))
    role = role_of(keys["role"], ROLES, f"{place}.role", context)
    content = items_of(keys["content"], f"{place}.content", context)
    parts = [_part(part, f"{place}.content.{i}", context) for i, part in enumerate(content)]
    weight = weight_of(keys.get("loss_weight"), role, f"{place}.loss_weight", context)
    return said(place, role, parts, weight)


def _part(part: object, place: str, context: Context) -> Part:
    keys = entry(part, place, context, needs=("type", "value"), knows=())
    kind, value = keys["type"], keys["value"]
    if kind == "text":
        return Text(text_of(value, f"{place}.value", context))
    if isinstance(kind, str) and kind in _KINDS:
        return read_media(_KINDS[kind], value, f"{place}.value", context)
    fix = f"use text, {', '.join(_KINDS)}, or leave the row out"
    raise context.wrong(f"{place}.type", f"{kind!r:.40} is not read", fix)


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    kind = "conversation" if sample.rejected is None else "preference"
    can, keys = ("weights", "tools"), (*NAMES, *NOT_READ)
    media: tuple[MediaKind, ...] = ("image", "video")
    check_said(sample, "llamafactory", kind=kind, media=media, can=can, keys=keys)
    if sample.rejected is None:
        row = {"messages": _messages(sample, sample.turns)}
    else:
        row = {
            "chosen_messages": _messages(sample, sample.turns),
            "rejected_messages": _messages(sample, sample.rejected),
        }
    tools = {} if sample.tools is None else {"tools": sample.tools}
    return {**row, **tools, **sample.columns}


def _messages(sample: Sample, turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    return [
        {
            "role": turn.role,
            "content": [_written(sample, part) for part in turn.parts],
            "loss_weight": turn.weight if turn.role == "assistant" else 0.0,
        }
        for turn in turns
    ]


def _written(sample: Sample, part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "value": text}
        case Media(kind=kind):
            return {"type": f"{kind}_url", "value": write_media(part)}
        case Places():
            raise refusal(sample, "boxes or points", "llamafactory", "write it as swift")
