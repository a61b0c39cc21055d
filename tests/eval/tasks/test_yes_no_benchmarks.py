"""Published files of yes-or-no and counting benchmarks, and figures over sets of questions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.eval.tasks import benchmark_rows as published
from tests.eval.tasks.benchmark_rows import figures
from tests.eval.tasks.published_files import png, write_parquet

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.sets import Hallusion, MmeScore
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.countbench import COUNTBENCH
from sightline.eval.tasks.hallusionbench import HALLUSIONBENCH
from sightline.eval.tasks.mme import MME
from sightline.eval.tasks.pope import POPE
from sightline.eval.tasks.tallyqa import TALLYQA

SHORTLY = "\nAnswer the question using a single word or phrase."


def test_pope(tmp_path: Path) -> None:
    write_parquet(tmp_path / "Full" / "adversarial-00000-of-00001.parquet", published.pope())
    items = POPE.open(tmp_path).items()
    assert items[0].question == f"Is there a dog in the image?{SHORTLY}"
    assert [item.truth for item in items] == [Answers(("yes",)), Answers(("no",)), Answers(("no",))]
    assert [item.kind for item in items] == ["random", "random", "adversarial"]
    assert {item.cluster for item in items} == {"COCO_val2014_1"}
    found = figures(POPE.metric, items, ["Yes", "no", "Yes, there is."])
    assert found == {
        "accuracy": 2 / 3,
        "precision": 0.5,
        "recall": 1,
        "F1": pytest.approx(2 / 3, abs=1e-12),
        "yes-share": 2 / 3,
        "unparsed": 0,
    }


def test_mme_adds_up_its_categories(tmp_path: Path) -> None:
    """existence: 3 of 4 right, 1 of 2 pictures: 75 + 50. OCR: 1 of 2, 0 of 1: 50. Code: all."""
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", published.mme())
    items = MME.open(tmp_path).items()
    assert items[0].question == f"Is it so?{SHORTLY}"
    assert [item.answer for item in items] == ["yes", "no"] * 4
    assert items[0].unit == items[1].unit == "existence existence/1.jpg"
    assert items[0].cluster == items[1].cluster == "existence/1.jpg"
    said = ["yes", "no", "yes", "yes", "no", "No.", "Yes", "no"]
    assert figures(MME.metric, items, said) == {
        "perception score": 175,
        "cognition score": 200,
        "accuracy": 0.75,
        "accuracy+": 0.5,
    }
    assert len(MME.open(tmp_path, seed=3).items(3)) == 2  # a picture comes with both


def test_mme_without_cognition_has_no_score_of_it(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "test.parquet", published.mme()[:4])
    items = MME.open(path).items()
    found = figures(MME.metric, items, ["yes", "no", "no", "yes"])
    assert found == {"perception score": 100, "accuracy": 0.5, "accuracy+": 0.5}


def test_a_resample_without_a_category_has_no_score() -> None:
    """In place of a lower one: two categories of one picture each, all right, are 400 points."""
    items = [
        Item(f"{kind} {side}", ("?",), Answers((side,)), kind, cluster=kind, unit=kind)
        for kind in ("OCR", "count")
        for side in ("yes", "no")
    ]
    said = [Said(item.answer) for item in items]
    score = figure(MmeScore().tallies(items, said, [1.0] * 4)[0])
    assert score.name == "perception score" and not score.percent
    assert (score.low, score.value, score.high) == (400, 400, 400)


def test_hallusionbench(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data/image-00000-of-00001.parquet", published.hallusionbench())
    items = HALLUSIONBENCH.open(tmp_path).items()
    assert [item.question for item in items] == ["Is circle 0 larger?", "Is circle 1 larger?"] * 2
    assert [item.answer for item in items] == ["no", "yes", "yes", "yes"]
    assert {item.unit for item in items} == {"VD illusion, set 0"}
    assert items[0].cluster == items[1].cluster != items[2].cluster == items[3].cluster
    assert items[0].group == items[2].group != items[1].group == items[3].group
    # Wrong is question 0 of figure 1 alone: one figure, one question.
    found = figures(HALLUSIONBENCH.metric, items, ["No", "Yes", "No", "Yes, it is."])
    assert found == {"aAcc": 0.75, "fAcc": 0.5, "qAcc": 0.5, "unparsed": 0}
    # A circle that is always taken for larger: question 1 is right, and figure 1 is.
    found = figures(HALLUSIONBENCH.metric, items, ["yes"] * 4)
    assert found == {"aAcc": 0.75, "fAcc": 0.5, "qAcc": 0.5, "unparsed": 0}
    found = figures(HALLUSIONBENCH.metric, items, ["It is unclear.", "yes", "yes", "yes"])
    assert found == {"aAcc": 0.75, "fAcc": 0.5, "qAcc": 0.5, "unparsed": 0.25}


def test_hallusionbench_from_its_json_file(tmp_path: Path) -> None:
    """A question without a figure: not to know is right, and it belongs to no figure."""
    folder = tmp_path / "hallusion_bench" / "VS" / "chart"
    folder.mkdir(parents=True)
    (folder / "0_1.png").write_bytes(png(5)["bytes"])
    base = {**published.hallusionbench()[0], "category": "VS", "subcategory": "chart"}
    del base["image"]
    rows = [
        {**base, "visual_input": "0", "filename": None, "gt_answer": "1"},
        {
            **base,
            "figure_id": "1",
            "gt_answer": "0",
            "filename": "./hallusion_bench/VS/chart/0_1.png",
        },
    ]
    (tmp_path / "HallusionBench.json").write_text(json.dumps(rows))
    blind, seen = HALLUSIONBENCH.open(tmp_path).items()
    assert blind.parts == ("Is circle 0 larger?",) and len(seen.media) == 1
    metric = Hallusion()
    assert metric.scores([blind, seen], [Said("I cannot tell."), Said("I cannot tell.")]) == [1, 0]
    assert metric.scores([blind, seen], [Said("No."), Said("No.")]) == [0, 1]
    found = figures(metric, [blind, seen], ["yes", "no"])
    assert found == {"aAcc": 1, "fAcc": 1, "qAcc": 1, "unparsed": 0}
    [_, figures_right, *_] = metric.tallies([blind, seen], [Said("yes")] * 2, [1.0, 0.0])
    assert np.array_equal(figures_right.rows_NK, [[0, 1]])


def test_countbench(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", published.countbench())
    items = COUNTBENCH.open(tmp_path).items()
    assert items[0].question == (
        "Look at the image carefully and count the objects. Answer with just a number, "
        "without any additional text. How many cups are there in the image?"
    )
    assert [item.answer for item in items] == ["2", "10"]
    found = figures(COUNTBENCH.metric, items, ["two", "There are 7."])
    assert found == {"accuracy": 0.5, "within one": 0.5, "mean error": 1.5, "unparsed": 0}


def test_tallyqa(tmp_path: Path) -> None:
    (tmp_path / "VG_100K_2").mkdir()
    (tmp_path / "VG_100K_2" / "2410408.png").write_bytes(png(5)["bytes"])
    (tmp_path / "test.json").write_text(json.dumps(published.tallyqa()))
    (tmp_path / "train.json").write_text(json.dumps(published.tallyqa()))
    items = TALLYQA.open(tmp_path).items()
    assert items[0].question == "How many headlights?\nAnswer with a single number."
    assert [item.kind for item in items] == ["simple", "complex"]
    assert [item.answer for item in items] == ["4", "0"]
    assert [item.cluster for item in items] == ["92410408", "92410408"]
    assert items[0].key == "test.json:1 30095774"
    found = figures(TALLYQA.metric, items, ["4", "none"])
    assert found["accuracy"] == 1
