"""MMStar: questions that cannot be answered without the picture (Chen et al. 2024)."""

from __future__ import annotations

from sightline.eval.item import Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.metrics.sets import BySkill
from sightline.eval.tasks.options import DIRECTLY, by_letter
from sightline.eval.tasks.published import EachRow, asked, split
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

_OPTIONS = ("option A", "option B", "option C", "option D")  # their words stand in the question
_POST = DIRECTLY.removesuffix(".")


def _item(row: Row) -> Item:
    return asked(
        row,
        row.text("question").replace(" Please answer yes or no.", "") + _POST,
        by_letter(row, _OPTIONS),
        id=row.text("index"),
        kind=f"{row.text('category')}: {row.text('l2_category')}",
    )


MMSTAR = Benchmark(
    name="mmstar",
    title="MMStar",
    read=EachRow(_item, (*split("val"), "mmstar.parquet")),
    metric=BySkill(ByLetter()),
    max_tokens=128,
    source="lmms_eval/tasks/mmstar/{mmstar.yaml, _default_template_yaml, utils.py} (0.7.3), its"
    " average, the mean over l2_category; there a letter is looked for everywhere in an answer"
    " (mcq_extract.py), and the length is left to the model",
)
