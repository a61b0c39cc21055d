"""BlindTest's rows, and its answers read as each task asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.eval.lmms_oracle import ask_lmms_all, lmms_default, needs_lmms
from tests.eval.tasks.published_files import png, write_parquet

from sightline.core.errors import DataError
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.metrics.blind_test import TASKS, BlindTest, read_answer
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.blind_test import BLIND_TEST

ASKED = "Are the two circles touching each other? Answer with Yes/No."


def row(task: str, groundtruth: str, prompt: str = ASKED, shade: int = 10) -> dict[str, Any]:
    return {"image": png(shade), "task": task, "prompt": prompt, "groundtruth": groundtruth}


ROWS = [
    row("Touching Circles", "Yes"),
    row("Touching Circles", "No", "Do the circles touch? Answer with Yes/No.", 11),
    row("Counting Grid - Blank Grids", "3,4", "Count rows and columns.", 12),
    row("Counting Grid - Word Grids", "5,6", "Count rows and columns.", 13),
    row("Circled Letter", "t", "Which letter is circled?", 14),
    row("Circled Letter", "t", "Which character is in the circle?", 14),
    row("Touching Circles", "No", ASKED, 15),
]
SAID = ["Yes", "no.", "rows={3} columns={4}", "{6} {5}", "{T}", "The letter is T", " NO "]


def items_of(folder: Path, rows: list[dict[str, Any]] = ROWS) -> list[Item]:
    write_parquet(folder / "data/valid-00000-of-00001.parquet", rows)
    return list(BLIND_TEST.open(folder).items())


def test_rows_are_read(tmp_path: Path) -> None:
    items = items_of(tmp_path)
    assert [item.key for item in items] == [
        f"data/valid-00000-of-00001.parquet:{n}" for n in range(1, 8)
    ]
    assert items[0].question == f"{ASKED}\nAnswer only in the required format."
    assert items[2].truth == Answers(("3,4",))
    assert [item.kind for item in items] == [
        *["touching circles"] * 2,
        *["counting grid"] * 2,
        *["circled letter"] * 2,
        "touching circles",
    ]
    clusters = [item.cluster for item in items]
    assert clusters[4] == clusters[5] and len(set(clusters)) == 6


def test_figures_by_hand(tmp_path: Path) -> None:
    """`no.` is not in the form asked for; `The letter is T` begins with a t."""
    items, said = items_of(tmp_path), [Said(text) for text in SAID]
    scores = BlindTest().scores(items, said)
    assert scores == [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]
    accuracy, of_tasks = map(figure, BlindTest().tallies(items, said, scores))
    assert accuracy.value == pytest.approx(5 / 7)
    assert of_tasks.value == pytest.approx((2 / 3 + 1 / 2 + 2 / 2) / 3)
    assert of_tasks.low <= of_tasks.value <= of_tasks.high


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        ("touching circles", "Yes", "yes"),
        ("touching circles", "Yes, they touch", None),
        ("counting grid", "{3}{4}", "3,4"),
        ("counting grid", "a grid of (3 , 4)", "3,4"),
        ("counting grid", "rows={12} columns={4}", "12,4"),
        ("counting grid", "3 rows and 4 columns", None),
        ("nested squares", "There are {5} squares, not 4", "5"),
        ("subway connections", "two", None),
        ("circled letter", "{Q}", "q"),
        ("circled letter", "7", None),
    ],
)
def test_answers_are_read_in_the_form_asked_for(kind: str, text: str, read: str | None) -> None:
    assert read_answer(text, kind) == read


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"task": "Counting Sheep"}, "task is 'counting sheep'"),
        ({"groundtruth": None}, "has no groundtruth"),
        ({"prompt": " "}, "prompt"),
        ({"image": None}, "has no image"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem) as error:
        items_of(tmp_path, [*ROWS[:2], ROWS[2] | change])
    assert error.value.field == "data/valid-00000-of-00001.parquet:3"


ANSWERS = (
    *("yes", "No", "NO.", "", " yes ", "The answer is {5}", "five", "{3}", "3", "4.5", "-7"),
    *("{t}", "T", "a", "{12}{4}", "(3,4)", "(3, 4)", "(3 , 4)", "{3}{4}", "{3} {4}", "{3}\n{4}"),
    *("rows={3} columns={4}", "rows={3}, columns={4}", "rows={3}  columns={4}", "3 by 4"),
)


@needs_lmms
def test_as_lmms_eval(tmp_path: Path) -> None:
    """Every answer to every task, right for some truth, and the mean over tasks."""
    module = "vlmsareblind.utils"
    default = lmms_default("vlmsareblind/vlmsareblind.yaml")
    docs = [{"task": r["task"], "prompt": r["prompt"]} for r in ROWS]
    items = items_of(tmp_path)
    truths = ("yes", "3", "3,4", "t", "12,4", "5", "4")
    cases = [(t.title(), truth, said) for t in TASKS for truth in truths for said in ANSWERS]
    given = {"lmms_eval_specific_kwargs": default}
    judged = [({"task": task, "groundtruth": truth}, [said]) for task, truth, said in cases]
    asked_and_found = ask_lmms_all(
        [
            *((module, "vlmsareblind_doc_to_text", (doc,), given) for doc in docs),
            *((module, "vlmsareblind_process_results", args, {}) for args in judged),
        ]
    )
    assert [item.question for item in items] == asked_and_found[: len(docs)]
    found = asked_and_found[len(docs) :]
    ours = [
        Item(str(n), asked_about("x.png", "?"), Answers((truth,)), TASKS[task.lower()])
        for n, (task, truth, _) in enumerate(cases)
    ]
    said = [Said(text) for _, _, text in cases]
    scores = BlindTest().scores(ours, said)
    assert scores == [one["accuracy"] for one in found]
    assert 0 < sum(scores) < len(scores)
    results = [one["accuracy_by_task"] for one in found]
    [theirs] = ask_lmms_all([(module, "vlmsareblind_aggregate_by_task", (results,), {})])
    _, of_tasks = BlindTest().tallies(ours, said, scores)
    sums = of_tasks.rows_NK.sum(0)
    assert float(of_tasks.value(sums)) == pytest.approx(theirs["task_mean"], abs=1e-12)
