"""TallyQA: simple and complex questions of how many (Acharya et al. 2019)."""

from __future__ import annotations

from sightline.eval.item import Item
from sightline.eval.metrics.numbers import Count
from sightline.eval.tasks.countbench import counted
from sightline.eval.tasks.published import EachRow, asked, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def _item(row: Row) -> Item:
    return asked(
        row,
        words(row, "question"),
        counted(row, "answer"),
        then="\nAnswer with a single number.",
        id=row.text("question_id"),
        kind=_kind(row),
        cluster=row.text("image_id"),
    )


def _kind(row: Row) -> str:
    simple = row.value("issimple")
    if not isinstance(simple, bool):
        raise row.wrong("issimple", f"is {simple!r:.40}", "write true or false")
    return "simple" if simple else "complex"


TALLYQA = Benchmark(
    name="tallyqa",
    title="TallyQA",
    read=EachRow(_item, ("test.json",)),
    metric=Count(),
    max_tokens=16,
    source="lmms-eval 0.7.3 has no such task. Fields: README.md of github.com/manoja328/"
    "TallyQA_dataset; `image` starts at the folder of test.json, where the folders of Visual"
    " Genome and COCO lie. Prompt: lmms_eval/tasks/countbenchqa/countbenchqa.yaml. Accuracy over"
    " both kinds and each, as in vlm_eval/tasks/harnesses/tallyqa.py of github.com/TRI-ML/"
    "vlm-evaluation, which makes sixteen options of the numbers",
)
