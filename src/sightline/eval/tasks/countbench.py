"""CountBench: how many objects, two to ten (Paiss et al. 2023), in the words of CountBenchQA."""

from __future__ import annotations

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.numbers import Count
from sightline.eval.tasks.options import check_told
from sightline.eval.tasks.published import EachRow, asked, split
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

_PRE = (
    "Look at the image carefully and count the objects. "
    "Answer with just a number, without any additional text. "
)


def counted(row: Row, field: str) -> Answers:
    """A whole number from 0."""
    check_told(row, field)
    if (number := row.whole(field)) < 0:
        raise row.wrong(field, f"is {number}", "give a number from 0")
    return Answers((str(number),))


def _item(row: Row) -> Item:
    truth = counted(row, "number")
    return asked(row, _PRE + row.text("question"), truth, kind=truth.texts[0])


COUNTBENCH = Benchmark(
    name="countbench",
    title="CountBench",
    read=EachRow(_item, split("test")),
    metric=Count(),
    max_tokens=16,
    source="lmms_eval/tasks/countbench/{countbench.yaml, utils.py} (0.7.3), over"
    " vikhyatk/CountBenchQA; there a number or number word counts alone, here also in a sentence",
)
