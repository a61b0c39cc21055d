"""LLaMA-Factory's alpaca: `{instruction, input, output, system, history: [[q, a]], images}`.

The question is instruction and input with a newline between, after the turns of the history;
`<image>` and `<video>` in the texts stand for the lists, in the order of the conversation. Columns
are renamed by LLaMA-Factory's names: prompt, query, response, system, history, images, videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import NOT_READ, Fields, compares
from sightline.data.dialects.lists import all_placed, dealer_of, placed, read_lists
from sightline.data.dialects.media import Dealer
from sightline.data.dialects.turns import Said, said, settled, system_first
from sightline.data.dialects.writing import check_said, marked, media_lists, split_system
from sightline.data.sample import Sample

NAMES = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "system": "system",
    "history": "history",
    "tools": "tools",
    "images": "images",
    "videos": "videos",
}


def fits(row: Mapping[str, Any]) -> bool:
    """Instruction and output as text."""
    texts = (row.get("instruction"), row.get("output"))
    return all(isinstance(text, str) for text in texts) and not compares(row)


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    dealer = dealer_of(read_lists(fields), context)
    turns = history(fields.several("history"), fields.name("history"), dealer, context)
    turns.append(question(fields, dealer))
    output = fields.name("response")
    answer = placed(fields.need("response"), output, dealer, context)
    turns.append(said(output, "assistant", answer))
    turns = all_placed(dealer, system_first(fields.words("system"), turns, context), context)
    tools = fields.tools()
    fields.refuse(NOT_READ)
    ended = settled(turns, context, fields.name("prompt"))
    return Sample(context.where, ended, tools=tools, columns=fields.rest())


def history(pairs: Sequence[Any], place: str, dealer: Dealer, context: Context) -> list[Said]:
    """The turns before the question. Raises DataError."""
    turns: list[Said] = []
    for i, pair in enumerate(pairs):
        where = f"{place}.{i}"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise context.wrong(where, "is no pair", "give [question, answer]")
        turns.append(said(f"{where}.0", "user", placed(pair[0], f"{where}.0", dealer, context)))
        answer = placed(pair[1], f"{where}.1", dealer, context)
        turns.append(said(f"{where}.1", "assistant", answer))
    return turns


def question(fields: Fields, dealer: Dealer) -> Said:
    """Instruction and input. Raises DataError where both are missing."""
    place = fields.name("prompt")
    lines = [text for text in (fields.words("prompt"), fields.words("query")) if text]
    return said(place, "user", placed("\n".join(lines), place, dealer, fields.context))


def write(sample: Sample) -> dict[str, Any]:
    """All of the question goes into `instruction`. Raises DataError for what cannot be said."""
    keys = (*NAMES.values(), *NOT_READ)
    check_said(sample, "alpaca", media=("image", "video"), can=("tools",), keys=keys)
    system, turns = split_system(sample.turns)
    texts = [marked(sample, turn.parts, "alpaca") for turn in turns]
    row: dict[str, Any] = {"instruction": texts[-2], "input": "", "output": texts[-1]}
    pairs = zip(texts[:-2:2], texts[1:-2:2], strict=True)
    row |= {"history": [list(pair) for pair in pairs]} if len(texts) > 2 else {}
    row |= {} if system is None else {"system": system}
    row |= {} if sample.tools is None else {"tools": sample.tools}
    return {**row, **media_lists(sample.turns), **sample.columns}
