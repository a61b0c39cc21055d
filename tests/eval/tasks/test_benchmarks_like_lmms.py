"""Prompts and figures of lmms-eval on the same rows and answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.eval.lmms_oracle import Call, ask_lmms_all, needs_lmms
from tests.eval.tasks import benchmark_rows as published
from tests.eval.tasks.benchmark_rows import Row, figures
from tests.eval.tasks.lmms_cases import CASES, Case
from tests.eval.tasks.published_files import write_parquet

from sightline.data.sample import Media
from sightline.eval.item import Item, StoredPicture
from sightline.eval.metrics.mmmu import open_right
from sightline.eval.tasks.ai2d import AI2D
from sightline.eval.tasks.mmbench import MMBENCH
from sightline.eval.tasks.mmmu import MMMU
from sightline.eval.tasks.task import Benchmark
from sightline.pictures import open_picture

pytestmark = needs_lmms
Theirs = Mapping[tuple[Any, ...], Any]

ROTATIONS = 12
OPEN = [
    *("1.5", "The slope is 1.5.", "So 3/2 = 1.50", "It is 15", "1,500", "about 1.5e0"),
    *("x is y\nso 2", "the answer is B", "B", "b", "A bee", "The final result is 24 apples."),
    *("twenty-four", "24.", "", "is", "so :", "The answer is: red blood cells", "red", "-3"),
    *("Thus, therefore -3", "= 1.499", "could be a car. Or is it Blood?", "1.504 is it", ".5"),
    *("0.5", "1,000.5", "inf", "answer = 0.50"),
]
TRUTHS = ["1.5", "B", "24", "Red Blood Cells", "-3", "1500", "0.5", "1,000.5", "red", "car"]


def bare(row: Row) -> Row:
    return {name: value for name, value in row.items() if not name.startswith("image")}


def rotation_answers(seed: int) -> list[str]:
    """Mostly right."""
    rng = random.Random(seed)
    return [row["answer"] if rng.random() < 0.8 else "C" for row in published.mmbench()]


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    """All that is asked of lmms-eval, by what it is about: three child processes."""
    configs = {case.name: case.config for case in CASES if case.config}
    found = ask_lmms_all([("", "", (path,), {}) for path in configs.values()])
    kwargs = {
        name: config["lmms_eval_specific_kwargs"]["default"]
        for name, config in zip(configs, found, strict=True)
    }
    said = asked_all(dict(first_calls(kwargs)))
    return {**said, **asked_all(dict(total_calls(said)))}


def asked_all(calls: Mapping[tuple[Any, ...], Call]) -> dict[tuple[Any, ...], Any]:
    return dict(zip(calls, ask_lmms_all(list(calls.values())), strict=True))


def first_calls(kwargs: Mapping[str, Any]) -> list[tuple[tuple[Any, ...], Call]]:
    found: list[tuple[tuple[Any, ...], Call]] = []
    for case in CASES:
        more = (kwargs[case.name],) if case.name in kwargs else ()
        for n, (row, text) in enumerate(zip(case.rows, case.answers, strict=True)):
            if case.text:
                call: Call = (case.module, case.text, (bare(row), *more), {})
                found.append(((case.name, "text", n), call))
            if case.process:
                call = (case.module, case.process, (bare(row), [text]), {})
                found.append(((case.name, "said", n), call))
    for n, row in enumerate(published.mmmu()):
        shown = {name: opened(value) for name, value in row.items()}
        found.append(
            (("messages", n), ("mmmu.utils", "mmmu_doc_to_messages", (shown, kwargs["mmmu"]), {}))
        )
    for text in OPEN:
        found.append((("open", text), ("mmmu.utils", "parse_open_response", (text,), {})))
    for seed in range(ROTATIONS):
        rows = zip(published.mmbench(), rotation_answers(seed), strict=True)
        results = [{**without_nan(bare(row)), "prediction": text} for row, text in rows]
        name = "mmbench_evaluator.eval_result"
        found.append((("rotations", seed), ("mmbench.en_utils", name, (results, "static"), {})))
    for n, row in enumerate(published.ai2d()):
        found.append((("truth", n), ("ai2d.utils", "ai2d_doc_to_target", (bare(row), "mcq"), {})))
    return found


def total_calls(said: Theirs) -> list[tuple[tuple[Any, ...], Call]]:
    found: list[tuple[tuple[Any, ...], Call]] = []
    for case in CASES:
        each = [said[case.name, "said", n] for n in range(len(case.rows)) if case.process]
        for name, (key, function) in case.totals.items():
            kept = [one[key] for one in each if key in one]
            if function:
                found.append(((case.name, name), (case.module, function, (kept,), {})))
    for text in OPEN:
        for truth in TRUTHS:
            call: Call = ("mmmu.utils", "eval_open", (truth, said["open", text]), {})
            found.append((("right", truth, text), call))
    return found


def without_nan(row: Row) -> Row:
    return {name: None if value == "nan" else value for name, value in row.items()}


def opened(value: Any) -> Any:
    return Image.fromarray(open_picture(value["bytes"]).rgb) if isinstance(value, dict) else value


def read(benchmark: Benchmark, rows: Sequence[Row], folder: Path) -> list[Item]:
    return list(benchmark.open(write_parquet(folder / "test.parquet", rows)).items())


@pytest.mark.parametrize("case", [c for c in CASES if c.text], ids=lambda case: case.name)
def test_prompts(case: Case, theirs: Theirs, tmp_path: Path) -> None:
    items = read(case.benchmark, case.rows, tmp_path)
    assert [item.question for item in items] == [
        theirs[case.name, "text", n] for n in range(len(case.rows))
    ]


@pytest.mark.parametrize("case", [c for c in CASES if c.totals], ids=lambda case: case.name)
def test_figures(case: Case, theirs: Theirs, tmp_path: Path) -> None:
    ours = figures(case.benchmark.metric, read(case.benchmark, case.rows, tmp_path), case.answers)
    for name, (key, function) in case.totals.items():
        each = [theirs[case.name, "said", n] for n in range(len(case.rows))]
        value = theirs[case.name, name] if function else sum(one[key] for one in each) / len(each)
        assert ours[name] == pytest.approx(value, abs=1e-5), name  # MMMU's is rounded
        assert 0 < ours[name] and (ours[name] < 1 or "score" in name)


def test_ai2d_truths(theirs: Theirs, tmp_path: Path) -> None:
    items = read(AI2D, published.ai2d(), tmp_path)
    assert [item.answer[0] for item in items] == [theirs["truth", n] for n in range(len(items))]


def test_mmbench_rotations(theirs: Theirs, tmp_path: Path) -> None:
    """The part of lmms-eval that needs no judge."""
    items = read(MMBENCH, published.mmbench(), tmp_path)
    ours = [
        figures(MMBENCH.metric, items, rotation_answers(seed))["circular accuracy"]
        for seed in range(ROTATIONS)
    ]
    assert ours == [theirs["rotations", seed][0] for seed in range(ROTATIONS)]
    assert len(set(ours)) == 3


def test_mmmu_words_and_pictures(theirs: Theirs, tmp_path: Path) -> None:
    """In the order of the conversation."""
    for n, item in enumerate(read(MMMU, published.mmmu(), tmp_path)):
        [message] = theirs["messages", n]
        assert [part_of(part) for part in item.parts] == list(map(heard, message["content"]))


def part_of(part: str | Media) -> str | int:
    if isinstance(part, str):
        return part
    source = part.source.read() if isinstance(part.source, StoredPicture) else part.source
    return int(open_picture(source).rgb[0, 0, 0])


def heard(part: Mapping[str, Any]) -> str | int:
    return part["text"] if part["type"] == "text" else int(part["url"].getpixel((0, 0))[0])


def test_mmmu_open_answers(theirs: Theirs) -> None:
    cases = [(truth, text) for truth in TRUTHS for text in OPEN]
    ours = [open_right([truth], text) for truth, text in cases]
    assert ours == [theirs["right", truth, text] for truth, text in cases]
    assert 15 < sum(ours) < len(ours) / 2
