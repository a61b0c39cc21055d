"""Questions without an answer, and columns for rewards.

| kit | fields |
|---|---|
| TRL | prompt as messages or text; image or images |
| swift | messages that end with a question, images, videos, objects |
| OpenAI | messages whose parts hold their media |
| LLaMA-Factory | conversations that end with a question |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.data.dialects import openai, sharegpt, swift, trl
from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import Fields, compares, given_in, mappings, same
from sightline.data.dialects.lists import all_placed, dealer_of, read_lists
from sightline.data.dialects.turns import Said, settled, system_first
from sightline.data.dialects.writing import check_said, media_lists
from sightline.data.sample import Sample

NAMES = same(
    *("messages", "conversation", "conversations", "prompt", "system", "tools"),
    *("image", "images", "videos", "objects"),
)
REFUSED = {name: why for name, why in swift.REFUSED.items() if name != "image"}
_ANSWERS = ("completion", "output", "question")


def fits(row: Mapping[str, Any]) -> bool:
    """A prompt alone, or messages that end with a question."""
    if compares(row) or given_in(row, *_ANSWERS):
        return False
    if given_in(row, "prompt"):
        return isinstance(row["prompt"], str | list | tuple) and not given_in(row, "messages")
    for name, role, user in (("messages", "role", "user"), ("conversations", "from", "human")):
        turns = row.get(name)
        if mappings(turns, role):
            return bool((turns)[-1][role] == user)
    return False


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES, tags=True)
    turns, place = _turns(fields)
    tools = fields.tools()
    fields.refuse(REFUSED)
    asked = settled(turns, context, place, "question")
    return Sample(context.where, asked, tools=tools, columns=fields.rest())


def _turns(fields: Fields) -> tuple[list[Said], str]:
    context = fields.context
    if fields.has("prompt"):
        images, given = trl.read_images(fields), trl.asked(fields, "prompt", "user")
        return trl.read_turns(given, images, context), fields.name("prompt")
    if fields.has("conversations"):
        dealer, place = dealer_of(read_lists(fields), context), fields.name("conversations")
        turns = sharegpt.read_turns(fields.take("conversations"), place, dealer, context)
        turns = system_first(fields.words("system"), turns, context)
        return all_placed(dealer, turns, context), place
    if fields.has("messages") and _holds_parts(fields.see("messages")):
        place = fields.name("messages")
        turns = openai.read_turns(fields.take("messages"), place, context)
        fields.refuse(openai.BESIDE)
        return system_first(fields.words("system"), turns, context), place
    return swift.read_row_turns(fields)


def _holds_parts(messages: object) -> bool:
    return isinstance(messages, list | tuple) and any(
        isinstance(item, Mapping) and isinstance(item.get("content"), list | tuple)
        for item in messages
    )


def write(sample: Sample) -> dict[str, Any]:
    """TRL's form. Raises DataError for what it cannot say."""
    check_said(sample, "prompt", kind="prompt", can=("tools",), keys=(*NAMES, *REFUSED))
    row: dict[str, Any] = {"prompt": trl.write_messages(sample.turns), **media_lists(sample.turns)}
    row |= {} if sample.tools is None else {"tools": sample.tools}
    return {**row, **sample.columns}
