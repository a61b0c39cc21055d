"""Rows as they are found in the wild, read into samples and written back.

| dialect      | fields of a row                                      | kit                       |
|--------------|------------------------------------------------------|---------------------------|
| llava        | conversations of from and value; image, video        | LLaVA, InternVL           |
| finevision   | images, texts of user and assistant, ratings         | FineVision, Cauldron      |
| sharegpt     | conversations, system, tools, images, videos         | LLaMA-Factory             |
| alpaca       | instruction, input, output, system, history, images  | LLaMA-Factory             |
| llamafactory | messages of parts with `value`, loss_weight; pairs   | LLaMA-Factory v1          |
| openai       | messages whose parts hold their media                | OpenAI, HF, Anthropic, .. |
| trl          | messages, or prompt and completion; image, images    | TRL                       |
| swift        | messages, images, videos, objects; or conversation   | ms-swift                  |
| preference   | chosen and rejected, or rejected_response, ..        | TRL, LF, swift, ..        |
| kto          | an answer, and label or kto_tag                      | TRL, LF, swift            |
| prompt       | prompt, or messages that end with a question         | TRL, swift, LF            |
| caption      | image or video, and text or caption                  | folders of pictures       |

In all of them a field without a value (None) is absent, fields that no reader knows are kept in
`Sample.columns`, sound is refused, and so is every URL that would have to be fetched. `<image>` in
a text is a picture in llava, sharegpt, alpaca and swift, and in pairs, judged answers and prompts
in the form of these; elsewhere it is words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, assert_never

from sightline.data.dialects import (
    alpaca,
    caption,
    finevision,
    kto,
    llamafactory,
    llava,
    openai,
    preference,
    prompt,
    sharegpt,
    swift,
    trl,
)
from sightline.data.dialects.context import Context
from sightline.data.dialects.recognise import Reader, settle
from sightline.data.sample import Sample
from sightline.spec.train import DIALECTS, Dialect

__all__ = ["Context", "read_row", "recognise", "write_row"]


class _Dialect(Reader, Protocol):
    def write(self, sample: Sample) -> dict[str, Any]: ...


def recognise(rows: Sequence[Mapping[str, Any]]) -> Dialect:
    """The dialect of the first rows of a source, from their keys and the shapes of their values.

    Rows that fit no dialect are set aside, so that a damaged one does not hide what the others are.
    Raises DataError when none fits, or when several fit and read the rows differently.
    """
    return settle(rows, {name: _module(name) for name in DIALECTS})


def read_row(dialect: Dialect, row: Mapping[str, Any], context: Context) -> Sample:
    """A row as a sample. Raises DataError naming file, row and place, the problem and the fix."""
    if not isinstance(row, Mapping):
        raise context.wrong("", f"is a {type(row).__name__}", "give a mapping of fields")
    return _module(dialect).read(row, context)


def write_row(dialect: Dialect, sample: Sample) -> dict[str, Any]:
    """A sample as a row: what `read_row` reads back as it was. Media are paths and data URIs as
    text, bytes as `{"bytes", "path"}`, anything else as it is.

    Raises DataError that names what the dialect cannot say.
    """
    return _module(dialect).write(sample)


def _module(dialect: Dialect) -> _Dialect:
    match dialect:
        case "llava":
            return llava
        case "finevision":
            return finevision
        case "sharegpt":
            return sharegpt
        case "alpaca":
            return alpaca
        case "llamafactory":
            return llamafactory
        case "openai":
            return openai
        case "trl":
            return trl
        case "swift":
            return swift
        case "preference":
            return preference
        case "kto":
            return kto
        case "prompt":
            return prompt
        case "caption":
            return caption
        case _:
            assert_never(dialect)
