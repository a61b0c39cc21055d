"""OpenAI's messages and their relatives: `{messages: [{role, content}]}`, media inside the parts.

`<image>` in a text is words. `weight` (OpenAI) or `train`, `training` (Axolotl) of an answer count
its loss; Anthropic's `system` may stand beside the messages, `developer` is a system message.
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
    same,
)
from sightline.data.dialects.parts import KINDS, read_parts, write_parts
from sightline.data.dialects.turns import Said, role_of, said, settled, weight_of
from sightline.data.dialects.writing import check_said
from sightline.data.sample import Role, Sample

NAMES = same("messages", "system", "tools")
ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_WEIGHTS = ("weight", "train", "training")
BESIDE = {
    "image": "stands beside the messages, where the dialect trl has it",
    "images": "stand beside the messages, where the dialects trl and swift have them",
    "videos": "stand beside the messages, where the dialect swift has them",
    "objects": "are boxes of the dialect swift",
    "response_format": "asks for a form of answers, which is not trained on",
    "functions": "declares functions in OpenAI's old way",
}


def fits(row: Mapping[str, Any]) -> bool:
    """Messages whose media, if there are any, stand in their parts, and nothing beside them."""
    if compares(row) or given_in(row, "image", "images", "videos", "objects", "prompt"):
        return False
    turns = row.get("messages")
    return mappings(turns, "role", "content") and all(map(_holds_its_media, turns))


def _holds_its_media(turn: Mapping[str, Any]) -> bool:
    if given_in(turn, "loss", "loss_scale", "loss_weight"):
        return False
    content = turn["content"]
    return isinstance(content, str) or (
        mappings(content, "type") and all(map(_holds_itself, content))
    )


def _holds_itself(part: Mapping[str, Any]) -> bool:
    keys = {key for key, value in part.items() if value is not None}
    return len(keys) > 1 and not keys & {"value", "index"}


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    turns = read_turns(fields.need("messages"), "messages", context)
    system, tools = fields.take("system"), fields.tools()
    if system:
        turns = _with_system(system, turns, context)
    fields.refuse({**NOT_READ, **BESIDE})
    ended = settled(turns, context, "messages")
    return Sample(context.where, ended, tools=tools, columns=fields.rest())


def read_turns(messages: object, place: str, context: Context) -> list[Said]:
    """Turns of a list of messages. Raises DataError."""
    given = items_of(messages, place, context)
    return [_turn(item, f"{place}.{i}", context) for i, item in enumerate(given)]


def _turn(item: object, place: str, context: Context) -> Said:
    keys = entry(item, place, context, needs=("role", "content"), knows=_WEIGHTS)
    role = role_of(keys["role"], ROLES, f"{place}.role", context)
    weights = [key for key in _WEIGHTS if key in keys]
    if len(weights) > 1:
        raise context.wrong(place, f"has {' and '.join(weights)}", "keep one of them")
    name = weights[0] if weights else "weight"
    weight = weight_of(keys.get(name), role, f"{place}.{name}", context)
    return said(place, role, read_parts(keys["content"], f"{place}.content", context), weight)


def _with_system(system: object, turns: list[Said], context: Context) -> list[Said]:
    if turns[0].turn.role == "system":
        raise context.wrong("system", "is given beside a system message", "keep one of the two")
    return [said("system", "system", read_parts(system, "system", context)), *turns]


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    can = ("weights", "tools", "fps")
    check_said(sample, "openai", media=KINDS, can=can, keys=(*NAMES, *BESIDE, *NOT_READ))
    messages = [
        {"role": turn.role, "content": write_parts(turn.parts)}
        | ({} if turn.weight == 1 else {"weight": turn.weight})
        for turn in sample.turns
    ]
    tools = {} if sample.tools is None else {"tools": sample.tools}
    return {"messages": messages, **tools, **sample.columns}
