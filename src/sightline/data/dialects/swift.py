"""ms-swift: `{messages, images, videos, objects}`, or `{conversation: [{human, assistant}]}`.

`<image>` and `<video>` in the text stand for the lists, `<ref-object>` and `<bbox>` for those of
`objects` (swift_objects). A video is a file or a list of frames. `loss` and `loss_scale` of an
answer count its loss. Turns of one role in a row are joined with nothing between, as swift does;
a tool message is a user turn, a tool_call an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
)
from sightline.data.dialects.lists import all_placed, dealer_of, placed, read_lists
from sightline.data.dialects.media import Dealer
from sightline.data.dialects.swift_objects import BBOX, REF, Objects, write_objects
from sightline.data.dialects.turns import (
    Said,
    joined,
    role_of,
    said,
    settled,
    system_first,
    weight_of,
)
from sightline.data.dialects.writing import MARKS, check_said, mark_of, media_lists, refusal
from sightline.data.sample import Part, Places, Role, Sample, Text, Turn

NAMES = same("messages", "conversation", "system", "images", "videos", "objects", "tools")
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "tool_response": "user",
    "tool_call": "assistant",
    "function_call": "assistant",
}
REFUSED = {
    **NOT_READ,
    "image": "is not a field of swift's: it has images",
    "chat_template_kwargs": "changes pixel limits or the template, which are the model's",
    "rejected_response": "belongs to a pair: name the dialect preference",
    "rejected_messages": "belong to a pair: name the dialect preference",
    "rejected_images": "belong to a pair: name the dialect preference",
}
_PAIR: tuple[tuple[str, Role], ...] = (("human", "user"), ("assistant", "assistant"))


def fits(row: Mapping[str, Any]) -> bool:
    """Messages of strings with placeholders for the media beside them, boxes or losses; or the
    conversation of human and assistant."""
    if compares(row) or given_in(row, "image", "prompt"):
        return False
    if given_in(row, "conversation"):
        return mappings(row["conversation"], "human")
    turns = row.get("messages")
    if not mappings(turns, "role", "content") or not all(map(_is_message, turns)):
        return False
    marked = any(mark in turn["content"] for turn in turns for mark in MARKS.values())
    return marked or not given_in(row, "images", "videos")


def _is_message(turn: Mapping[str, Any]) -> bool:
    keys = {key for key, value in turn.items() if value is not None}
    return isinstance(turn["content"], str) and keys <= {"role", "content", "loss", "loss_scale"}


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    turns, place = read_row_turns(fields)
    tools = fields.tools()
    fields.refuse(REFUSED)
    return Sample(context.where, settled(turns, context, place), tools=tools, columns=fields.rest())


def read_row_turns(fields: Fields) -> tuple[list[Said], str]:
    """The conversation with media and boxes in their places, and the name of its field."""
    context = fields.context
    dealer = dealer_of(read_lists(fields), context)
    objects = Objects(fields.take("objects"), context)
    if fields.has("messages"):
        place = fields.name("messages")
        turns = read_turns(fields.take("messages"), place, dealer, context)
    else:
        place = fields.name("conversation")
        turns = _pairs(fields.need("conversation"), place, dealer, context)
    turns = system_first(fields.words("system"), turns, context)
    turns = objects.placed(all_placed(dealer, turns, context))
    return merged(turns), place


def read_turns(value: object, place: str, dealer: Dealer, context: Context) -> list[Said]:
    """Turns of a list of messages. Raises DataError."""
    given = items_of(value, place, context)
    return [_turn(item, f"{place}.{i}", dealer, context) for i, item in enumerate(given)]


def _turn(item: object, place: str, dealer: Dealer, context: Context) -> Said:
    keys = entry(item, place, context, needs=("role", "content"), knows=("loss", "loss_scale"))
    role = role_of(keys["role"], ROLES, f"{place}.role", context)
    parts = placed(keys["content"], f"{place}.content", dealer, context)
    weight = weight_of(keys.get("loss_scale"), role, f"{place}.loss_scale", context)
    if keys.get("loss") not in (None, True, False):
        raise context.wrong(f"{place}.loss", f"is {keys['loss']!r:.40}", "give true or false")
    counted = weight_of(keys.get("loss"), role, f"{place}.loss", context)
    return said(place, role, parts, weight * counted)


def _pairs(value: object, place: str, dealer: Dealer, context: Context) -> list[Said]:
    turns = []
    for i, item in enumerate(items_of(value, place, context)):
        keys = entry(item, f"{place}.{i}", context, needs=("human", "assistant"), knows=())
        for name, role in _PAIR:
            where = f"{place}.{i}.{name}"
            turns.append(said(where, role, placed(keys[name], where, dealer, context)))
    return turns


def merged(turns: Sequence[Said]) -> list[Said]:
    """Neighbouring turns of one role and weight as one."""
    out: list[Said] = []
    for item in turns:
        last = out[-1].turn if out else None
        if last and last.role == item.turn.role != "system" and last.weight == item.turn.weight:
            parts = joined([*last.parts, *item.turn.parts])
            out[-1] = Said(out[-1].place, replace(last, parts=parts))
        else:
            out.append(item)
    return out


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    can, keys = ("places", "weights", "tools"), (*NAMES, *REFUSED)
    check_said(sample, "swift", media=("image", "video"), can=can, keys=keys)
    row: dict[str, Any] = {"messages": write_messages(sample, sample.turns)}
    row |= media_lists(sample.turns) | write_objects(sample)
    row |= {} if sample.tools is None else {"tools": sample.tools}
    return {**row, **sample.columns}


def write_messages(sample: Sample, turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Messages with placeholders, and a loss where it is not 1."""
    return [
        {"role": turn.role, "content": "".join(_mark(sample, part) for part in turn.parts)}
        | _loss(turn.weight)
        for turn in turns
    ]


def _mark(sample: Sample, part: Part) -> str:
    if isinstance(part, Places):
        return BBOX
    if isinstance(part, Text) and (BBOX in part.text or REF in part.text):
        raise refusal(sample, "a placeholder among its words", "swift")
    return mark_of(sample, part, "swift", MARKS)


def _loss(weight: float) -> dict[str, Any]:
    if weight == 1:
        return {}
    return {"loss_scale": weight} if weight else {"loss": False}
