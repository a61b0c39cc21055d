"""LLaMA-Factory's sharegpt: `{conversations: [{from, value}], system, tools, images, videos}`.

Columns and tags are renamed as its dataset_info.json says. An observation is a user turn, a
function_call an answer; `<image>` and `<video>` in the text stand for the lists, in order.
"""

from __future__ import annotations

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
)
from sightline.data.dialects.lists import all_placed, dealer_of, placed, read_lists
from sightline.data.dialects.media import Dealer
from sightline.data.dialects.turns import Said, role_of, said, settled, system_first
from sightline.data.dialects.writing import check_said, marked, media_lists, split_system
from sightline.data.sample import Role, Sample

NAMES = {
    "messages": "conversations",
    "system": "system",
    "tools": "tools",
    "images": "images",
    "videos": "videos",
}
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_ROLES: dict[str, Role] = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "user",
    "function_tag": "assistant",
    "system_tag": "system",
}


def fits(row: Mapping[str, Any]) -> bool:
    """A list of from and value under LLaMA-Factory's own names, and no `image` of LLaVA's."""
    turns = row.get("conversations")
    if compares(row) or given_in(row, "image", "video"):
        return False
    roles = [TAGS[name] for name in _ROLES]
    return mappings(turns, "from", "value") and all(t["from"] in roles for t in turns)


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES, tags=True)
    dealer = dealer_of(read_lists(fields), context)
    turns = read_turns(fields.need("messages"), fields.name("messages"), dealer, context)
    turns = all_placed(dealer, system_first(fields.words("system"), turns, context), context)
    tools = fields.tools()
    fields.refuse(NOT_READ)
    ended = settled(turns, context, fields.name("messages"))
    return Sample(context.where, ended, tools=tools, columns=fields.rest())


def read_turns(value: object, place: str, dealer: Dealer, context: Context) -> list[Said]:
    """Turns of a list of messages with tags. Raises DataError."""
    given = items_of(value, place, context)
    return [read_turn(item, f"{place}.{i}", dealer, context) for i, item in enumerate(given)]


def read_turn(item: object, place: str, dealer: Dealer, context: Context) -> Said:
    """One message with tags. Raises DataError."""
    tags = _tags(context)
    role_tag, content_tag = tags["role_tag"], tags["content_tag"]
    keys = entry(item, place, context, needs=(role_tag, content_tag), knows=())
    roles = {tags[name]: role for name, role in _ROLES.items()}
    role = role_of(keys[role_tag], roles, f"{place}.{role_tag}", context)
    parts = placed(keys[content_tag], f"{place}.{content_tag}", dealer, context)
    return said(place, role, parts)


def _tags(context: Context) -> dict[str, str]:
    if unknown := [name for name in context.tags if name not in TAGS]:
        raise context.wrong("tags", f"name {unknown[0]!r}", f"use {', '.join(TAGS)}")
    return {**TAGS, **context.tags}


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    keys = (*NAMES.values(), *NOT_READ)
    check_said(sample, "sharegpt", media=("image", "video"), can=("tools",), keys=keys)
    system, turns = split_system(sample.turns)
    names = {"user": "human", "assistant": "gpt"}
    said = [
        {"from": names[turn.role], "value": marked(sample, turn.parts, "sharegpt")}
        for turn in turns
    ]
    row: dict[str, Any] = {"conversations": said, **media_lists(sample.turns)}
    row |= {} if system is None else {"system": system}
    row |= {} if sample.tools is None else {"tools": sample.tools}
    return {**row, **sample.columns}
