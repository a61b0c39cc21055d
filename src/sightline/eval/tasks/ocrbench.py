"""OCRBench: text in pictures, from digits to handwritten formulas."""

from __future__ import annotations

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.words import Contains
from sightline.eval.tasks.published import EachRow, asked, known, split
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

FORMULAS = "Handwritten Mathematical Expression Recognition"
_FORMULA_SET = "HME100k"


def _item(row: Row) -> Item:
    skill, origin = row.text("question_type"), row.text("dataset")
    if (skill == FORMULAS) != (origin == _FORMULA_SET):
        problem = f"is {origin} for {skill}"
        raise row.wrong("dataset", problem, f"only {_FORMULA_SET} has formulas")
    return asked(row, row.text("question"), Answers(known(row, "answer")), kind=skill)


OCRBENCH = Benchmark(
    name="ocrbench",
    title="OCRBench",
    read=EachRow(_item, split("test")),
    metric=Contains((FORMULAS,)),
    max_tokens=128,
    source="lmms_eval/tasks/ocrbench/{ocrbench.yaml, utils.py} (0.7.3); there the rule for formulas"
    " hangs on the field `dataset`, here on the kind, and rows in which the two differ are errors;"
    " there the sum is divided by 1000, here by the number of questions",
)
