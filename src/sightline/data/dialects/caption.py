"""A picture or clip and its words: `{image, text}` or `{image, caption}`; video for image.

The sample asks with the picture alone and answers with the words. `columns` name others
(`{image: jpg, text: txt}` for a WebDataset).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import NOT_READ, Fields, compares, given_in, same, text_of
from sightline.data.dialects.media import read_media, write_media
from sightline.data.dialects.turns import said, settled
from sightline.data.dialects.writing import check_said, refusal
from sightline.data.sample import MediaKind, Sample, Text

NAMES = same("image", "video", "text", "caption")


def fits(row: Mapping[str, Any]) -> bool:
    """One picture or clip and one text, and no conversation."""
    talks = ("messages", "conversations", "conversation", "texts", "prompt", "question")
    words = any(isinstance(row.get(key), str) for key in ("text", "caption"))
    told = compares(row) or given_in(row, *talks, "instruction")
    return given_in(row, "image", "video") and words and not told


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    kind: MediaKind = "video" if _one_of(fields, "image", "video") == "video" else "image"
    shown = read_media(kind, fields.need(kind), fields.name(kind), context)
    name = _one_of(fields, "text", "caption")
    place = fields.name(name)
    words = text_of(fields.need(name), place, context)
    turns = [said(fields.name(kind), "user", [shown]), said(place, "assistant", [Text(words)])]
    fields.refuse(NOT_READ)
    return Sample(context.where, settled(turns, context, place), columns=fields.rest())


def _one_of(fields: Fields, first: str, second: str) -> str:
    """Which of two fields the row has; the first where it has neither."""
    if fields.has(first) and fields.has(second):
        problem = f"is given beside {fields.name(first)}"
        raise fields.context.wrong(fields.name(second), problem, "keep one of the two")
    return second if fields.has(second) else first


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    check_said(sample, "caption", media=("image", "video"), keys=(*NAMES, *NOT_READ))
    if len(sample.turns) != 2:
        raise refusal(sample, f"{len(sample.turns)} turns", "caption")
    asked, told = sample.turns
    if len(asked.parts) != 1 or len(asked.media) != 1 or told.media:
        raise refusal(sample, "a question, or pictures other than one", "caption")
    shown = asked.media[0]
    return {shown.kind: write_media(shown), "text": told.text, **sample.columns}
