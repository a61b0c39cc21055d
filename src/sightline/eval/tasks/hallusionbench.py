"""HallusionBench: one question about a picture and its edited twins (Guan et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sightline.data.sample import Media
from sightline.eval.item import Answers, Item
from sightline.eval.metrics.sets import Hallusion
from sightline.eval.tasks.options import check_told
from sightline.eval.tasks.published import split, words
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import Benchmark

_TRUTHS = {"1": "yes", "0": "no"}


def _read(path: Path) -> Iterator[Item]:
    for row in rows(path, *split("image"), "HallusionBench.json"):
        yield _item(row)


def _item(row: Row) -> Item:
    kind = f"{row.text('category')} {row.text('subcategory')}"
    unit = f"{kind}, set {row.text('set_id')}"
    question, figure = row.text("question_id"), row.text("figure_id")
    return Item(
        f"{row.where} {unit}, figure {figure}, question {question}",
        (*_shown(row), words(row, "question")),
        Answers((_truth(row),)),
        kind,
        group=f"{unit}, question {question}",
        cluster=f"{unit}, figure {figure}",
        unit=unit,
    )


def _shown(row: Row) -> Iterator[Media]:
    """Its figure; questions of HallusionBench.json with visual_input 0 have none."""
    field = "filename" if "image" not in row.fields and "filename" in row.fields else "image"
    if row.has(field) or row.text("visual_input") != "0":
        yield Media("image", row.picture(field))


def _truth(row: Row) -> str:
    check_told(row, "gt_answer")
    answer = row.text("gt_answer")
    if answer not in _TRUTHS:
        raise row.wrong("gt_answer", f"is {answer!r:.40}", "write 1 (yes) or 0 (no)")
    return _TRUTHS[answer]


HALLUSIONBENCH = Benchmark(
    name="hallusionbench",
    title="HallusionBench",
    read=_read,
    metric=Hallusion(),
    max_tokens=128,
    source="lmms_eval/tasks/hallusion_bench/{hallusion_bench_image.yaml, evaluate_hb.py, utils.py}"
    " (0.7.3); HallusionBench.json with filename and visual_input: README.md of"
    " tianyi-lab/HallusionBench; there a GPT judges whether an answer conflicts with"
    " gt_answer_details, here yes or no is read from it and compared with gt_answer",
)
