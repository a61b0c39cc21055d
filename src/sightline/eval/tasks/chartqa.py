"""ChartQA: questions about charts, written by people or made from their summaries."""

from __future__ import annotations

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.words import Relaxed
from sightline.eval.tasks.published import EachRow, asked, known, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

PARTS = {"human_test": "human", "augmented_test": "augmented"}


def _item(row: Row) -> Item:
    if (part := row.text("type")) not in PARTS:
        raise row.wrong("type", f"is {part!r}", f"write {' or '.join(PARTS)}")
    truth = Answers(known(row, "answer"))
    then = "\nAnswer the question with a single word."
    return asked(row, words(row, "question"), truth, then=then, kind=PARTS[part])


CHARTQA = Benchmark(
    name="chartqa",
    title="ChartQA",
    read=EachRow(_item, split("test")),
    metric=Relaxed(),
    max_tokens=16,
    source="lmms_eval/tasks/chartqa/{chartqa.yaml, utils.py, upload_chartqa.py} (0.7.3); there any"
    " other type counts as augmented, here it is an error",
)
