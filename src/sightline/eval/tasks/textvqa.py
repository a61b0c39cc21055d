"""TextVQA: questions about text in photographs."""

from __future__ import annotations

from sightline.eval.item import Item
from sightline.eval.metrics.vqa import VqaAccuracy
from sightline.eval.tasks.published import SHORTLY, EachRow, asked, by_count, everyone, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def _item(row: Row) -> Item:
    return asked(
        row,
        words(row, "question").capitalize(),
        by_count(everyone(row, "answers")),
        then=SHORTLY,
        id=row.text("question_id"),
        cluster=row.optional("image_id"),
    )


TEXTVQA = Benchmark(
    name="textvqa",
    title="TextVQA",
    read=EachRow(_item, split("validation")),
    metric=VqaAccuracy(words="evalai"),
    max_tokens=32,
    source="lmms_eval/tasks/textvqa/{textvqa_val.yaml, _default_template_textvqa_yaml, utils.py}"
    " (0.7.3): with `ocr: false`; there an answer is as long as the model's adapter allows;"
    " image_id, which it does not read, gives the cluster where it is there",
)
