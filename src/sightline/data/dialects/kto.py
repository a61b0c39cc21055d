"""One answer and whether it is wanted, as each kit writes it.

| kit | fields |
|---|---|
| TRL | prompt, completion, label; image or images |
| LLaMA-Factory | conversations, or instruction, input and output; kto_tag |
| swift | messages, label; images, videos |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.data.dialects import sharegpt, swift, trl
from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import NOT_READ, Fields, given_in, same
from sightline.data.dialects.lists import all_placed, dealer_of, read_lists
from sightline.data.dialects.plain import Plain
from sightline.data.dialects.turns import settled, system_first
from sightline.data.dialects.writing import check_said, media_lists
from sightline.data.sample import Sample, Turn

NAMES = same(
    *(
        "messages",
        "conversations",
        "conversation",
        "prompt",
        "completion",
        "instruction",
        "question",
    ),
    *("history", "label", "kto_tag", "system", "tools", "image", "images", "video", "videos"),
    "objects",
) | {"query": "input", "response": "output"}
REFUSED = {**NOT_READ, "chat_template_kwargs": "changes the template, which is the model's"}


def fits(row: Mapping[str, Any]) -> bool:
    """A label or kto_tag, true or false, beside an answer."""
    if isinstance(row.get("kto_tag"), bool):
        return True
    return isinstance(row.get("label"), bool) and given_in(row, "messages", "completion")


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES, tags=True)
    name = "kto_tag" if fields.has("kto_tag") else "label"
    wanted = fields.need(name)
    if not isinstance(wanted, bool):
        raise context.wrong(fields.name(name), f"is {wanted!r:.40}", "give true or false")
    turns = _ranked(fields) if name == "kto_tag" else _labelled(fields)
    tools = fields.tools()
    fields.refuse(REFUSED)
    return Sample(context.where, turns, desirable=wanted, tools=tools, columns=fields.rest())


def _ranked(fields: Fields) -> tuple[Turn, ...]:
    """LLaMA-Factory's: a conversation with tags, or alpaca's texts."""
    context = fields.context
    name = next((n for n in ("messages", "conversations") if fields.has(n)), None)
    if name is None:
        return Plain(fields).answered(fields.name("response"), fields.need("response"))
    dealer, place = dealer_of(read_lists(fields), context), fields.name(name)
    turns = sharegpt.read_turns(fields.need(name), place, dealer, context)
    turns = system_first(fields.words("system"), turns, context)
    return settled(all_placed(dealer, turns, context), context, place)


def _labelled(fields: Fields) -> tuple[Turn, ...]:
    """TRL's prompt and completion, or swift's messages."""
    context = fields.context
    if not fields.has("completion"):
        turns, place = swift.read_row_turns(fields)
        return settled(turns, context, place)
    images = trl.read_images(fields)
    given = [*trl.asked(fields, "prompt", "user"), *trl.asked(fields, "completion", "assistant")]
    return settled(trl.read_turns(given, images, context), context, fields.name("prompt"))


def write(sample: Sample) -> dict[str, Any]:
    """TRL's form. Raises DataError for what it cannot say."""
    keys = (*NAMES.values(), *REFUSED)
    check_said(sample, "kto", kind="judged", can=("tools",), keys=keys)
    row: dict[str, Any] = {
        "prompt": trl.write_messages(sample.turns[:-1]),
        "completion": trl.write_messages(sample.turns[-1:]),
        "label": sample.desirable,
        **media_lists(sample.turns),
    }
    row |= {} if sample.tools is None else {"tools": sample.tools}
    return {**row, **sample.columns}
