"""Rows whose question and answers are plain texts, with media beside them: the pairs and judged
answers of InternVL, LLaVA-NeXT, TRL and LLaMA-Factory's alpaca.

`<image>` and `<video>` in a text are placeholders; where there are none, media come first.
"""

from __future__ import annotations

from typing import Any

from sightline.data.dialects.alpaca import history
from sightline.data.dialects.fields import Fields
from sightline.data.dialects.lists import Lists, dealer_of, placed, read_lists
from sightline.data.dialects.llava import parts_of
from sightline.data.dialects.turns import media_first, said, settled, system_first
from sightline.data.sample import Turn

QUESTIONS = ("question", "instruction", "prompt")


def read_any_media(fields: Fields) -> Lists:
    """`image` or `images`, `video` or `videos`. Raises DataError for two names of one thing."""
    for one, many in (("image", "images"), ("video", "videos")):
        if fields.has(one) and fields.has(many):
            problem = f"is given beside {fields.name(many)}"
            raise fields.context.wrong(fields.name(one), problem, "keep one of the two")
    return read_lists(
        fields,
        "image" if fields.has("image") else "images",
        "video" if fields.has("video") else "videos",
    )


class Plain:
    """The question of a row, with its system prompt, history and media."""

    def __init__(self, fields: Fields) -> None:
        self._fields, self._lists = fields, read_any_media(fields)
        self._system, self._past = fields.words("system"), fields.several("history")
        name = next((name for name in QUESTIONS if fields.has(name)), "prompt")
        renamed = {"prompt", "query"} & set(fields.context.columns)
        self._alpaca = name == "instruction" or bool(renamed)
        self._place = fields.name(name)
        lines = [fields.words(name), fields.words("query") if self._alpaca else None]
        self._text = "\n".join(line for line in lines if line)
        if not self._text:
            raise fields.context.wrong(self._place, "is missing", "give the question")

    def answered(self, name: str, answer: Any) -> tuple[Turn, ...]:
        """The conversation with this answer, which the field `name` holds. Raises DataError."""
        context = self._fields.context
        dealer = dealer_of(self._lists, context)
        turns = history(self._past, self._fields.name("history"), dealer, context)
        words = (
            placed(self._text, self._place, dealer, context)
            if self._alpaca
            else parts_of(self._text, dealer)
        )
        turns.append(said(self._place, "user", words))
        turns.append(said(name, "assistant", placed(answer, name, dealer, context)))
        turns = system_first(self._system, turns, context)
        if dealer.none_dealt:
            turns = media_first(dealer.undealt, turns)
        else:
            dealer.check()
        return settled(turns, context, self._place)
