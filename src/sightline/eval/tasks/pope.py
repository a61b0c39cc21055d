"""POPE: is it there? Absent objects, in three degrees of likelihood (Li et al. 2023)."""

from __future__ import annotations

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.yes_no import YesNo
from sightline.eval.tasks.published import SHORTLY, EachRow, asked, known, split
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def yes_or_no(row: Row, field: str = "answer") -> Answers:
    """`yes` or `no`; case and full stops aside."""
    word, *more = known(row, field)
    if more or (plain := word.strip().lower().replace(".", "")) not in ("yes", "no"):
        raise row.wrong(field, f"is {row.fields[field]!r:.40}", "write yes or no")
    return Answers((plain,))


def _item(row: Row) -> Item:
    return asked(
        row,
        row.text("question"),
        yes_or_no(row),
        then=SHORTLY,
        id=row.text("question_id"),
        kind=row.optional("category"),
        cluster=row.optional("image_source"),
    )


POPE = Benchmark(
    name="pope",
    title="POPE",
    read=EachRow(_item, (*split("test"), "Full/*.parquet")),
    metric=YesNo(),
    max_tokens=128,
    source="lmms_eval/tasks/pope/{pope.yaml, utils.py} (0.7.3); category and image_source, which it"
    " does not read, from the card of lmms-lab/POPE; there only the word alone counts, and the"
    " yes-share is that of the truth; here the word is found in a sentence, and the yes-share is"
    " that of the answers, as in the paper",
)
