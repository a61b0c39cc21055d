"""DocVQA and InfographicVQA: questions about pages and infographics."""

from __future__ import annotations

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.words import Anls
from sightline.eval.tasks.published import SHORTLY, EachRow, asked, known, skills, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def _page(row: Row) -> Item:
    return _item(row, "question_types", "docId")


def _infographic(row: Row) -> Item:
    return _item(row, "answer_type", "image_url")


def _item(row: Row, kind: str, cluster: str) -> Item:
    return asked(
        row,
        words(row, "question"),
        Answers(known(row, "answers")),
        then=SHORTLY,
        id=row.text("questionId"),
        kind=skills(row, kind),
        cluster=row.optional(cluster),
    )


DOCVQA = Benchmark(
    name="docvqa",
    title="DocVQA",
    read=EachRow(_page, split("validation", "DocVQA")),
    metric=Anls(),
    max_tokens=32,
    source="lmms_eval/tasks/docvqa/{docvqa_val.yaml, _default_template_docvqa_yaml, utils.py},"
    " lmms_eval/api/metrics.py (0.7.3); question_types and docId, which it does not read, give"
    " kind and cluster where they are there; a question of several types is of a kind of its own",
)
INFOVQA = Benchmark(
    name="infovqa",
    title="InfographicVQA",
    read=EachRow(_infographic, split("validation", "InfographicVQA")),
    metric=Anls(),
    max_tokens=32,
    source="lmms_eval/tasks/infovqa/{infovqa_val.yaml, _default_template_infovqa_yaml, utils.py},"
    " lmms_eval/api/metrics.py (0.7.3); answer_type and image_url, which it does not read, give"
    " kind and cluster where they are there",
)
