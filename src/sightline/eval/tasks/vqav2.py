"""VQAv2: questions about COCO pictures, each answered by ten people."""

from __future__ import annotations

from collections.abc import Mapping

from sightline.eval.item import Item
from sightline.eval.metrics.vqa import VqaAccuracy
from sightline.eval.tasks.published import (
    SHORTLY,
    EachRow,
    answers_hidden,
    asked,
    by_count,
    hidden,
    split,
    words,
)
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def _item(row: Row) -> Item:
    return asked(
        row,
        words(row, "question"),
        by_count(_ten(row)),
        then=SHORTLY,
        id=row.text("question_id"),
        kind=row.optional("answer_type"),
        cluster=row.optional("image_id"),
    )


def _ten(row: Row) -> list[str]:
    """The words of `answers`, a list of mappings with `answer`."""
    if hidden(row, "answers"):
        raise answers_hidden(row, "answers")
    value = row.value("answers")
    given = value if isinstance(value, list) else [value]
    found = [one.get("answer") if isinstance(one, Mapping) else None for one in given]
    texts = [text for text in found if isinstance(text, str)]
    if len(texts) != len(found):
        raise row.wrong("answers", f"is {value!r:.60}, not mappings with `answer`", "check it")
    return texts


VQAV2 = Benchmark(
    name="vqav2",
    title="VQAv2",
    read=EachRow(_item, split("validation")),
    metric=VqaAccuracy(),
    max_tokens=16,
    source="lmms_eval/tasks/vqav2/{vqav2_val.yaml, _default_template_vqav2_yaml, utils.py} (0.7.3);"
    " answer_type and image_id, which it does not read, give kind and cluster where they are there",
)
