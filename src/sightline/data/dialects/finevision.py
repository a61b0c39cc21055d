"""FineVision and the Cauldron: `{images, texts: [{user, assistant}]}`, with ratings of each turn.

All pictures stand before the first question; `<image>` in a text is words. Further keys of a turn
(the Cauldron's `source`) become columns `texts.source`, a value for each turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import NOT_READ, Fields, items_of, mappings, same, text_of
from sightline.data.dialects.media import read_all, write_media
from sightline.data.dialects.turns import Said, media_first, said, settled
from sightline.data.dialects.writing import check_said, refusal
from sightline.data.sample import Media, Role, Sample, Text

NAMES = same("images", "texts")
_ROLES: tuple[Role, ...] = ("user", "assistant")
_EXTRA = "texts."


def fits(row: Mapping[str, Any]) -> bool:
    """A list of user and assistant."""
    return mappings(row.get("texts"), "user", "assistant")


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    images = read_all("image", fields.several("images"), fields.name("images"), context)
    texts = items_of(fields.need("texts"), "texts", context)
    turns = [turn for i, item in enumerate(texts) for turn in _turns(item, f"texts.{i}", context)]
    fields.refuse(NOT_READ)
    ended = settled(media_first(images, turns), context, "texts")
    return Sample(context.where, ended, columns=_extra(texts) | fields.rest())


def _turns(item: object, place: str, context: Context) -> list[Said]:
    if not isinstance(item, Mapping) or any(item.get(role) is None for role in _ROLES):
        raise context.wrong(place, "is no pair", "give user and assistant")
    return [
        said(f"{place}.{role}", role, [Text(text_of(item[role], f"{place}.{role}", context))])
        for role in _ROLES
    ]


def _extra(texts: list[Mapping[str, Any]]) -> dict[str, Any]:
    keys = {key: None for item in texts for key, value in item.items() if value is not None}
    return {f"{_EXTRA}{key}": [t.get(key) for t in texts] for key in keys if key not in _ROLES}


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    check_said(sample, "finevision", keys=NAMES)
    questions, answers = sample.turns[::2], sample.turns[1::2]
    if questions[0].role == "system":
        raise refusal(sample, "a system message", "finevision")
    lead = questions[0].parts[: len(sample.media)]
    if not all(isinstance(part, Media) for part in lead) or len(lead) != len(sample.media):
        raise refusal(sample, "a picture that is not at the start", "finevision")
    pairs = zip(questions, answers, strict=True)
    texts: list[dict[str, Any]] = [{"user": q.text, "assistant": a.text} for q, a in pairs]
    columns = dict(sample.columns)
    for name in [name for name in columns if name.startswith(_EXTRA)]:
        for text, value in zip(texts, columns.pop(name), strict=True):
            text[name.removeprefix(_EXTRA)] = value
    return {"images": [write_media(m) for m in sample.media], "texts": texts, **columns}
