"""OK-VQA: questions whose answer the picture alone does not give."""

from __future__ import annotations

from sightline.eval.item import Item
from sightline.eval.metrics.vqa import VqaAccuracy
from sightline.eval.tasks.published import SHORTLY, EachRow, asked, by_count, everyone, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."


def _item(row: Row) -> Item:
    return asked(
        row,
        words(row, "question"),
        by_count(everyone(row, "answers")),
        then=UNANSWERABLE + SHORTLY,
        id=row.text("question_id"),
        kind=row.optional("question_type"),
    )


OK_VQA = Benchmark(
    name="ok_vqa",
    title="OK-VQA",
    read=EachRow(_item, split("val2014")),
    metric=VqaAccuracy(words="evalai"),
    max_tokens=32,
    source="lmms_eval/tasks/ok_vqa/{ok_vqa_val2014.yaml, _default_template_vqa_yaml, utils.py}"
    " (0.7.3); there an answer is as long as the model's adapter allows; question_type, which it"
    " does not read, gives the kind where it is there",
)
