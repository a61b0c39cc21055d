"""MME: two questions a picture, one to be answered yes and one no (Fu et al. 2023)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.sets import COGNITION, PERCEPTION, MmeScore
from sightline.eval.tasks.pope import yes_or_no
from sightline.eval.tasks.published import SHORTLY, EachRow, asked, split
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def _item(row: Row) -> Item:
    question = row.text("question").replace(" Please answer yes or no.", "")
    picture, kind = row.text("question_id"), _category(row)
    truth = yes_or_no(row)
    item = asked(row, question, truth, then=SHORTLY, id=picture, kind=kind, cluster=picture)
    return replace(item, unit=f"{kind} {picture}")


def _category(row: Row) -> str:
    name = row.text("category")
    if name not in (all_names := PERCEPTION + COGNITION):
        raise row.wrong("category", f"is {name!r:.40}", f"write one of {', '.join(all_names)}")
    return name


def _read(path: Path) -> Iterator[Item]:
    items = list(EachRow(_item, split("test"))(path))
    asked_of = Counter(item.unit for item in items)
    for item in items:
        if (number := asked_of[item.unit]) != 2:
            problem = f"has {number} questions about its picture"
            raise DataError(item.key, problem, "give the two of each picture")
        yield item


MME = Benchmark(
    name="mme",
    title="MME",
    read=_read,
    metric=MmeScore(),
    max_tokens=16,
    source="lmms_eval/tasks/mme/{mme.yaml, utils.py} (0.7.3); there yes or no is looked for in the"
    " first four characters of an answer, here in its first sentence; accuracy and accuracy+ over"
    " all pictures, which it does not report, stand beside the two scores",
)
