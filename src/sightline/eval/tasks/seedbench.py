"""SEED-Bench: its questions about pictures (Li et al. 2023). Those about clips are left to tasks of
their own, as lmms-eval counts them apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sightline.data.sample import Media
from sightline.eval.item import Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.tasks.options import DIRECTLY, by_letter, in_columns, listed
from sightline.eval.tasks.published import picture_id, split, words
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import Benchmark

_COLUMNS = ("choice_a", "choice_b", "choice_c", "choice_d")


def _read(path: Path) -> Iterator[Item]:
    return (_item(row) for row in rows(path, *split("test")) if _is_picture(row))


def _is_picture(row: Row) -> bool:
    kind = row.text("data_type")
    if kind not in ("image", "video"):
        raise row.wrong("data_type", f"is {kind!r:.40}", "write image or video")
    return kind == "image"


def _item(row: Row) -> Item:
    options = tuple(in_columns(row, _COLUMNS).values())
    if len(options) < len(_COLUMNS):
        raise row.wrong("choice_a to choice_d", f"has {len(options)} options", "give four")
    kind = f"type {row.text('question_type_id')}" if row.has("question_type_id") else "question"
    return Item(
        f"{row.where} {row.text('question_id')}",
        (*_shown(row), f"{words(row, 'question')}\n{listed(options)}{DIRECTLY}"),
        by_letter(row, options),
        kind,
        group=kind,
        cluster=row.optional("data_id") or picture_id(row, at=0),
    )


def _shown(row: Row) -> Iterator[Media]:
    pictures = row.value("image")
    if not isinstance(pictures, list | tuple) or not pictures:
        raise row.wrong("image", "is not a list of pictures", "give a list of one")
    for at in range(len(pictures)):
        yield Media("image", row.picture("image", at))


SEEDBENCH = Benchmark(
    name="seedbench",
    title="SEED-Bench (pictures)",
    read=_read,
    metric=ByLetter(),
    max_tokens=16,
    source="lmms_eval/tasks/seedbench/{seedbench.yaml, utils.py} (0.7.3), seed_image;"
    " question_type_id and data_id, which it does not read, from SEED-Bench.py of"
    " AILab-CVC/SEED-Bench; there the first character of an answer counts, whatever it is, and the"
    " length is left to the model",
)
