"""MMMU: college questions with several pictures among their words (Yue et al. 2024)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from sightline.data.sample import Media
from sightline.eval.item import Answers, Item, Truth
from sightline.eval.metrics.mmmu import Mmmu
from sightline.eval.tasks.options import DIRECTLY, by_letter, listed
from sightline.eval.tasks.published import SHORTLY, EachRow, answers_hidden, known, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

_MARK = re.compile(r"<image (\d+)>")
_SUBJECT = re.compile(r"[^_]+_(.+?)_\d+")


def _item(row: Row) -> Item:
    prompt, truth = _asked(row)
    parts = tuple(_parts(row, prompt))
    if not any(isinstance(part, Media) for part in parts):
        raise row.wrong("question", "names no picture", "write <image 1> where it stands")
    id = row.text("id")
    if not (subject := _SUBJECT.fullmatch(id)):
        raise row.wrong("id", f"is {id!r:.60}", "write split_subject_number")
    return Item(f"{row.where} {id}", parts, truth, subject[1], group=subject[1])


def _asked(row: Row) -> tuple[str, Truth]:
    """What is said, with marks for the pictures, and what is right."""
    question, kind = words(row, "question"), row.text("question_type")
    if row.optional("answer") == "?":
        raise answers_hidden(row, "answer")
    if kind == "multiple-choice":
        options = _options(row)
        return f"{question}\n{listed(options)}\n{DIRECTLY}", by_letter(row, options)
    if kind == "open":
        return f"{question}\n{SHORTLY}", Answers(known(row, "answer"))
    raise row.wrong("question_type", f"is {kind!r:.40}", "write multiple-choice or open")


def _options(row: Row) -> tuple[str, ...]:
    """A list, written in a text as Python does."""
    text = row.text("options")
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, list) or len(found) < 2 or not all(isinstance(o, str) for o in found):
        raise row.wrong("options", f"is {text!r:.60}", "write a list of texts: ['a cat', 'a dog']")
    return tuple(found)


def _parts(row: Row, prompt: str) -> Iterator[str | Media]:
    """Words and pictures in turn; a picture stands wherever its mark does."""
    for at, piece in enumerate(_MARK.split(prompt)):
        if at % 2:
            yield Media("image", row.picture(f"image_{piece}"))
        elif piece.strip():
            yield piece.strip()


MMMU = Benchmark(
    name="mmmu",
    title="MMMU (validation)",
    read=EachRow(_item, (*split("validation"), "*/validation-*.parquet")),
    metric=Mmmu(),
    max_tokens=128,
    source="lmms_eval/tasks/mmmu/{mmmu_val.yaml, _default_template_yaml, utils.py} (0.7.3),"
    " mmmu_doc_to_messages; there picture n stands at mark n of the prompt, whatever its number,"
    " and words before a mark that has no picture left are lost; here <image n> is picture n. There"
    " an answer that names no option is given one by chance, here it is wrong",
)
