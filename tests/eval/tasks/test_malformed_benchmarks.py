"""Rows that are not as published: each error names the file, the row and the field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.eval.tasks import benchmark_rows as published
from tests.eval.tasks.benchmark_rows import Row
from tests.eval.tasks.published_files import png, write_jsonl, write_parquet

from sightline.core.errors import DataError
from sightline.eval.tasks.ai2d import AI2D
from sightline.eval.tasks.countbench import COUNTBENCH
from sightline.eval.tasks.hallusionbench import HALLUSIONBENCH
from sightline.eval.tasks.mmbench import MMBENCH
from sightline.eval.tasks.mme import MME
from sightline.eval.tasks.mmmu import MMMU
from sightline.eval.tasks.mmstar import MMSTAR
from sightline.eval.tasks.pope import POPE
from sightline.eval.tasks.scienceqa import SCIENCEQA
from sightline.eval.tasks.seedbench import SEEDBENCH
from sightline.eval.tasks.tallyqa import TALLYQA
from sightline.eval.tasks.task import Benchmark
from sightline.eval.tasks.vsr import VSR

BROKEN = {"bytes": b"no picture", "path": "x.png"}
GONE: Any = object()

# benchmark, its rows, the field that is changed in one of them, its value, what is said of it
Case = tuple[Benchmark, Callable[[], list[Row]], str, Any, str]
CASES: list[Case] = [
    (AI2D, published.ai2d, "question", GONE, "has no question"),
    (AI2D, published.ai2d, "options", ["fox"], "options has 1 options"),
    (AI2D, published.ai2d, "answer", "2", "answer is 2, and the options are 0 to 1"),
    (AI2D, published.ai2d, "answer", "hare", "answer is 'hare', not a number"),
    (AI2D, published.ai2d, "answer", "nan", "keep the answers"),
    (AI2D, published.ai2d, "image", BROKEN, "image"),
    (AI2D, published.ai2d, "image", None, "has no image"),
    (SCIENCEQA, published.scienceqa, "choices", GONE, "has no choices"),
    (SCIENCEQA, published.scienceqa, "answer", -1, "answer is -1"),
    (SCIENCEQA, published.scienceqa, "question", "", "question is ''"),
    (SCIENCEQA, published.scienceqa, "image", BROKEN, "image"),
    (SEEDBENCH, published.seedbench, "choice_c", None, "choice_a to choice_d has 3 options"),
    (SEEDBENCH, published.seedbench, "answer", "E", "answer is 'E', and the options are A, B"),
    (SEEDBENCH, published.seedbench, "data_type", "sound", "data_type is 'sound'"),
    (SEEDBENCH, published.seedbench, "image", [], "image is not a list of pictures"),
    (SEEDBENCH, published.seedbench, "image", [BROKEN], "image"),
    (MMSTAR, published.mmstar, "answer", "E", "answer is 'E'"),
    (MMSTAR, published.mmstar, "l2_category", None, "has no l2_category"),
    (MMSTAR, published.mmstar, "image", BROKEN, "image"),
    (MMMU, published.mmmu, "options", "['a', 3]", "options is"),
    (MMMU, published.mmmu, "options", "['a', 'b'", "options is"),
    (MMMU, published.mmmu, "options", "__import__('os').getcwd()", "options is"),
    (MMMU, published.mmmu, "answer", "C", "answer is 'C', and the options are A, B"),
    (MMMU, published.mmmu, "question_type", "essay", "question_type is 'essay'"),
    (MMMU, published.mmmu, "image_2", None, "has no image_2"),
    (MMMU, published.mmmu, "image_3", BROKEN, "image_3"),
    (MMMU, published.mmmu, "id", "Music4", "id is 'Music4'"),
    (MMBENCH, published.mmbench, "answer", "D", "answer is 'D', and the options are A, B, C"),
    (MMBENCH, published.mmbench, "index", "first", "index is 'first', not a number"),
    (MMBENCH, published.mmbench, "index", 5, "index 5 is there twice"),
    (MMBENCH, published.mmbench, "question", None, "has no question"),
    (MMBENCH, published.mmbench, "image", BROKEN, "image"),
    (POPE, published.pope, "answer", "maybe", "answer is 'maybe'; write yes or no"),
    (POPE, published.pope, "question_id", GONE, "has no question_id"),
    (POPE, published.pope, "image", BROKEN, "image"),
    (MME, published.mme, "category", "taste", "category is 'taste'"),
    (MME, published.mme, "answer", "No, it is not", "write yes or no"),
    (MME, published.mme, "question_id", "existence/3.jpg", "has 1 questions about its picture"),
    (MME, published.mme, "image", BROKEN, "image"),
    (HALLUSIONBENCH, published.hallusionbench, "gt_answer", "yes", "gt_answer is 'yes'"),
    (HALLUSIONBENCH, published.hallusionbench, "set_id", GONE, "has no set_id"),
    (HALLUSIONBENCH, published.hallusionbench, "image", None, "has no image"),
    (HALLUSIONBENCH, published.hallusionbench, "image", BROKEN, "image"),
    (COUNTBENCH, published.countbench, "number", 2.5, "number is 2.5, not a whole number"),
    (COUNTBENCH, published.countbench, "number", float("inf"), "number is inf"),
    (COUNTBENCH, published.countbench, "number", -1, "number is -1"),
    (COUNTBENCH, published.countbench, "image", BROKEN, "image"),
]


def bad_row(benchmark: Benchmark) -> int:
    """Which row is changed, from 1. The second of SEED-Bench is about a clip."""
    return 3 if benchmark is SEEDBENCH else 2


def changed(rows: list[Row], number: int, field: str, value: Any) -> list[Row]:
    """The rows of one table: a column whose type changes does so in all."""
    found = [dict(row) for row in rows]
    for at, row in enumerate(found, 1):
        if value is GONE:
            del row[field]
        elif at == number:
            row[field] = value
        elif not isinstance(value, type(row[field])) and isinstance(value, str | float):
            row[field] = type(value)(row[field])
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].name}-{case[2]}-{case[4][:20]}")
def test_a_bad_row_of_a_table(case: Case, tmp_path: Path) -> None:
    benchmark, rows, field, value, said = case
    row = bad_row(benchmark)
    bad = changed(rows(), row, field, value)
    path = write_parquet(tmp_path / "test-00000.parquet", bad)
    with pytest.raises(DataError) as error:
        benchmark.open(path).items()
    assert re.search(re.escape(said), str(error.value)), error.value
    if value is GONE or "questions about" in said:  # the one that is left alone is the first
        row = 1
    assert error.value.field.startswith(f"test-00000.parquet:{row}"), error.value


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("label", 2, "label is 2; write 1 (true) or 0 (false)"),
        ("label", None, "label is empty: its authors keep"),
        ("caption", None, "has no caption"),
        ("relation", "", "relation is ''"),
        ("image", "8.jpg", "image is '8.jpg', which is not there"),
    ],
)
def test_a_bad_line_of_vsr(field: str, value: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "7.jpg").write_bytes(png(1)["bytes"])
    rows = [published.vsr()[0], {**published.vsr()[1], field: value}]
    path = write_jsonl(tmp_path / "test.jsonl", rows)
    with pytest.raises(DataError, match=rf"test.jsonl:2.*{re.escape(said)}"):
        VSR.open(path).items()


def test_a_broken_picture_of_vsr(tmp_path: Path) -> None:
    (tmp_path / "7.jpg").write_bytes(b"no picture")
    path = write_jsonl(tmp_path / "test.jsonl", published.vsr())
    with pytest.raises(DataError, match=r"test.jsonl:1: image"):
        VSR.open(path).items()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("issimple", "yes", "issimple is 'yes'"),
        ("answer", "many", "answer is 'many', not a number"),
        ("question_id", None, "has no question_id"),
        ("image", "VG_100K/1.jpg", "image"),
    ],
)
def test_a_bad_row_of_tallyqa(field: str, value: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "VG_100K_2").mkdir()
    (tmp_path / "VG_100K_2" / "2410408.png").write_bytes(png(5)["bytes"])
    rows = published.tallyqa()
    (tmp_path / "test.json").write_text(json.dumps([rows[0], {**rows[1], field: value}]))
    with pytest.raises(DataError, match=rf"test.json:2.*{re.escape(said)}"):
        TALLYQA.open(tmp_path).items()


def test_a_bad_line_of_a_tsv_file(tmp_path: Path) -> None:
    path = tmp_path / "mmbench_dev_en.tsv"
    head = "index\tquestion\tA\tB\tanswer\tcategory\timage\n"
    line = "1\tWhat?\ta\tb\tA\tocr\t"
    for image, said in (
        ("5", "tsv:2: image is '5', and no row above"),
        ("/9j/" * 30 + "*", "tsv:2 image: is not base64"),
        ("AAAA" * 30, "tsv:2: image"),
        ("", "tsv:2: image is ''"),
        ("AAAA\tmore", "tsv:2: has 8 fields under 7 names"),
    ):
        path.write_text(f"{head}{line}{image}\n")
        with pytest.raises(DataError, match=re.escape(said)):
            MMBENCH.open(path).items()
