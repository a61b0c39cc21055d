"""Pairs of answers, the chosen one better, as each kit writes them.

| kit                  | fields                                                                  |
|----------------------|-------------------------------------------------------------------------|
| TRL                  | prompt, chosen, rejected as messages or text; image or images. Without  |
|                      | a prompt, the messages that chosen and rejected both start with are it  |
| LLaMA-Factory        | conversations, one message chosen, one rejected; or instruction, input  |
|                      | and two texts                                                           |
| swift                | messages; rejected_response, rejected_messages or rejected_images       |
| InternVL, LLaVA-NeXT | question or prompt, chosen, rejected as text; image or video            |

Where no text has a placeholder, media of rows of texts stand before the question, as these kits
put them. LLaVA-NeXT's `answer` stays a column. (LLaMA-Factory v1's pairs: dialect llamafactory.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.data.dialects import sharegpt, swift, trl
from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import NOT_READ, Fields, given_in, items_of, same, text_of
from sightline.data.dialects.lists import Lists, all_placed, dealer_of, read_lists
from sightline.data.dialects.media import read_all
from sightline.data.dialects.plain import Plain
from sightline.data.dialects.turns import Said, comparable, essence, settled, system_first
from sightline.data.dialects.writing import check_said, media_lists, refusal
from sightline.data.sample import MediaKind, Sample, Turn

SWIFT = ("rejected_response", "rejected_messages", "rejected_images")
NAMES = same(
    *("messages", "conversations", "prompt", "question", "instruction", "chosen", "rejected"),
    *(*SWIFT, "history", "system", "tools", "image", "images", "video", "videos"),
) | {"query": "input"}
REFUSED = {
    **NOT_READ,
    "objects": "are boxes, which are not read in pairs",
    "chat_template_kwargs": "changes the template, which is the model's",
}
_Pair = tuple[tuple[Turn, ...], tuple[Turn, ...]]


def fits(row: Mapping[str, Any]) -> bool:
    """A chosen and a rejected answer, or something rejected beside messages."""
    if given_in(row, "chosen") and given_in(row, "rejected"):
        return True
    return given_in(row, "messages") and given_in(row, *SWIFT)


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES, tags=True)
    chosen, rejected = _pair(fields)
    if essence(chosen) == essence(rejected):
        raise context.wrong("rejected", "is the same as what is chosen", "leave the row out")
    tools = fields.tools()
    fields.refuse(REFUSED)
    return Sample(context.where, chosen, rejected, tools=tools, columns=fields.rest())


def _pair(fields: Fields) -> _Pair:
    if any(fields.has(name) for name in SWIFT):
        return _swift(fields)
    match fields.see("chosen"):
        case Mapping():
            return _ranked(fields)
        case list() | tuple():
            return _messages(fields)
        case str():
            return _texts(fields)
    fix = "give a text, a message or a list of messages"
    raise fields.context.wrong(fields.name("chosen"), "is no answer", fix)


def _messages(fields: Fields) -> _Pair:
    context, images = fields.context, trl.read_images(fields)
    prompt = trl.asked(fields, "prompt", "user") if fields.has("prompt") else []
    sides = []
    for name in ("chosen", "rejected"):
        given = [*prompt, *trl.asked(fields, name, "assistant")]
        sides.append(settled(trl.read_turns(given, images, context), context, fields.name(name)))
    chosen, rejected = sides
    if essence(chosen[:1]) != essence(rejected[:1]):
        fix = "start both with the same messages, or give the prompt"
        raise context.wrong(fields.name("rejected"), "answers another question", fix)
    return chosen, rejected


def _ranked(fields: Fields) -> _Pair:
    """LLaMA-Factory's ranking: a conversation that ends with a question, and two messages."""
    context, lists, system = fields.context, read_lists(fields), fields.words("system")
    name = "messages" if fields.has("messages") else "conversations"
    asked, place = fields.need(name), fields.name(name)

    def side(answer: str) -> tuple[Turn, ...]:
        dealer = dealer_of(lists, context)
        turns = sharegpt.read_turns(asked, place, dealer, context)
        turns.append(sharegpt.read_turn(fields.need(answer), fields.name(answer), dealer, context))
        turns = all_placed(dealer, system_first(system, turns, context), context)
        return settled(turns, context, place)

    return side("chosen"), side("rejected")


def _texts(fields: Fields) -> _Pair:
    plain = Plain(fields)
    chosen, rejected = fields.need("chosen"), fields.need("rejected")
    return (
        plain.answered(fields.name("chosen"), chosen),
        plain.answered(fields.name("rejected"), rejected),
    )


def _swift(fields: Fields) -> _Pair:
    context, lists = fields.context, read_lists(fields)
    other = _rejected_lists(fields, lists)
    place = fields.name("messages")
    messages = items_of(fields.need("messages"), place, context)
    rejected = _rejected_messages(fields, messages)
    system = fields.words("system")

    def side(given: list[Any], name: str, media: Lists) -> tuple[Turn, ...]:
        dealer = dealer_of(media, context)
        turns: list[Said] = swift.read_turns(given, name, dealer, context)
        turns = all_placed(dealer, system_first(system, turns, context), context)
        return settled(swift.merged(turns), context, name)

    return side(messages, place, lists), side(rejected, "rejected_messages", other)


def _rejected_lists(fields: Fields, lists: Lists) -> Lists:
    """The media of the worse conversation: its own pictures where it has some."""
    swapped = fields.several("rejected_images")
    if not swapped:
        return lists
    place = fields.name("rejected_images")
    return {**lists, "image": read_all("image", swapped, place, fields.context)}


def _rejected_messages(fields: Fields, messages: list[Any]) -> list[Any]:
    context = fields.context
    if fields.has("rejected_messages"):
        if fields.has("rejected_response"):
            problem = "is given beside rejected_messages"
            raise context.wrong("rejected_response", problem, "keep one of the two")
        return items_of(fields.take("rejected_messages"), "rejected_messages", context)
    if not fields.has("rejected_response"):
        return messages
    answer = text_of(fields.take("rejected_response"), "rejected_response", context)
    last = messages[-1]
    if not isinstance(last, Mapping):
        raise context.wrong(
            "messages", "end with something else than a message", "give role, content"
        )
    return [*messages[:-1], {**last, "content": answer}]


def write(sample: Sample) -> dict[str, Any]:
    """TRL's form; swift's for clips, and where the rejected conversation has media of its own.
    Raises DataError for what neither can say."""
    keys = (*NAMES, "input", *REFUSED)
    check_said(
        sample, "preference", kind="preference", media=("image", "video"), can=("tools",), keys=keys
    )
    tools = {} if sample.tools is None else {"tools": sample.tools}
    assert sample.rejected is not None
    shared = _shared(essence(sample.turns), essence(sample.rejected))
    if shared and _same_pictures(sample.turns, sample.rejected):
        row = {
            "prompt": trl.write_messages(sample.turns[:shared]),
            "chosen": trl.write_messages(sample.turns[shared:]),
            "rejected": trl.write_messages(sample.rejected[shared:]),
        } | media_lists(sample.turns)
    else:
        row = _write_swift(sample)
    return {**row, **tools, **sample.columns}


def _shared(chosen: list[Any], rejected: list[Any]) -> int:
    """How many turns at the start are the same, the last a question; 0 where that cannot be."""
    pairs = zip(chosen, rejected, strict=False)
    count = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(chosen), len(rejected)))
    return count if count and chosen[count - 1][0] == "user" else 0


def _same_pictures(chosen: tuple[Turn, ...], rejected: tuple[Turn, ...]) -> bool:
    """Whether both show the same media, all of them pictures."""
    clips = any(m.kind != "image" for turn in (*chosen, *rejected) for m in turn.media)
    return _shown(chosen, "image") == _shown(rejected, "image") and not clips


def _shown(turns: tuple[Turn, ...], kind: MediaKind) -> list[Any]:
    return [comparable(m) for turn in turns for m in turn.media if m.kind == kind]


def _write_swift(sample: Sample) -> dict[str, Any]:
    assert sample.rejected is not None
    chosen, rejected = sample.turns, sample.rejected
    if _shown(chosen, "video") != _shown(rejected, "video"):
        raise refusal(sample, "other clips in the rejected conversation", "preference")
    row: dict[str, Any] = {
        "messages": swift.write_messages(sample, chosen),
        "rejected_messages": swift.write_messages(sample, rejected),
        **media_lists(chosen),
    }
    if _shown(chosen, "image") != _shown(rejected, "image"):
        if not (images := media_lists(rejected).get("images")):
            raise refusal(sample, "pictures in the chosen conversation alone", "preference")
        row["rejected_images"] = images
    return row
