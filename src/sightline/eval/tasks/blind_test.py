"""BlindTest: seeing tasks that are easy for people ("Vision language models are blind")."""

from __future__ import annotations

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.blind_test import TASKS, BlindTest
from sightline.eval.tasks.published import EachRow, asked, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def _item(row: Row) -> Item:
    if (task := row.text("task").lower()) not in TASKS:
        raise row.wrong("task", f"is {task!r}", f"use {', '.join(TASKS)}")
    return asked(
        row,
        words(row, "prompt"),
        Answers((row.text("groundtruth"),)),
        then="\nAnswer only in the required format.",
        kind=TASKS[task],
    )


BLIND_TEST = Benchmark(
    name="vlmsareblind",
    title="BlindTest",
    read=EachRow(_item, (*split("valid"), *split("validation"))),
    metric=BlindTest(),
    max_tokens=32,
    source=(
        "lmms_eval/tasks/vlmsareblind/utils.py and vlmsareblind.yaml (0.7.3): fields task, image, "
        "prompt, groundtruth; the two grids are one kind, as in the paper's table 1. Rows of equal "
        "pictures are one cluster. Differs: a task that is unknown there is refused, not wrong"
    ),
)
