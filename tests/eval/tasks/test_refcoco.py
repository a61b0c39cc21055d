"""RefCOCO's rows: a phrase each, boxes by two corners, and figures computed by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.eval.lmms_oracle import ask_lmms, ask_lmms_all, needs_lmms
from tests.eval.tasks.published_files import png, write_jsonl, write_parquet

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.eval.item import Boxes, StoredPicture
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.refcoco import REFCOCO, REFCOCO_PLUS, REFCOCOG
from sightline.pictures import open_picture

CUP, PLATE = png(40, (100, 80)), png(200, (60, 60))
QUESTION = "Please carefully observe the area circled in the image and come up with a caption."
ROWS: list[dict[str, Any]] = [
    {
        "question_id": "469306",
        "image": CUP,
        "question": QUESTION,
        "answer": ["the dog on the left", " black dog"],
        "segmentation": [10.0, 20.0, 40.0, 20.0, 40.0, 60.0],
        "bbox": [10.0, 20.0, 30.0, 40.0],
        "iscrowd": 0,
        "file_name": "COCO_train2014_000000581857_16.jpg",
    },
    {
        "question_id": "469307",
        "image": CUP,
        "question": QUESTION,
        "answer": ["cat"],
        "segmentation": [50.0, 0.0, 60.0, 10.0, 50.0, 10.0],
        "bbox": [50.0, 0.0, 10.0, 10.0],
        "iscrowd": 0,
        "file_name": "COCO_train2014_000000581857_17.jpg",
    },
    {
        "question_id": "469308",
        "image": PLATE,
        "question": QUESTION,
        "answer": ["plate"],
        "segmentation": [0.0, 0.0, 30.0, 0.0, 30.0, 30.0],
        "bbox": [0.0, 0.0, 30.0, 30.0],
        "iscrowd": 0,
        "file_name": "COCO_train2014_000000581858_18.jpg",
    },
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "data/val-00000-of-00001.parquet", ROWS)
    write_parquet(tmp_path / "data/testA-00000-of-00001.parquet", ROWS[2:])
    return tmp_path


def prompt(phrase: str) -> str:
    return (
        f'Locate every object that matches the description "{phrase}" in the image. Report bbox '
        "coordinates in JSON format."
    )


@pytest.mark.parametrize("benchmark", [REFCOCO, REFCOCO_PLUS, REFCOCOG])
def test_each_phrase_is_asked_alone(folder: Path, benchmark: Any) -> None:
    items = benchmark.open(folder).items()
    file = "data/val-00000-of-00001.parquet"
    assert [item.key for item in items] == [
        f"{file}:1 469306 phrase 1",
        f"{file}:1 469306 phrase 2",
        f"{file}:2 469307 phrase 1",
        f"{file}:3 469308 phrase 1",
    ]
    phrases = ("the dog on the left", "black dog", "cat", "plate")
    assert [item.question for item in items] == [prompt(phrase) for phrase in phrases]
    boxes = (Box(10, 20, 40, 60), Box(10, 20, 40, 60), Box(50, 0, 60, 10), Box(0, 0, 30, 30))
    assert [item.truth for item in items] == [Boxes((box,)) for box in boxes]
    assert {item.kind for item in items} == {"phrase"}
    clusters = [item.cluster for item in items]
    assert len(set(clusters[:3])) == 1 and clusters[3] != clusters[0]
    assert [item.media[0].kind for item in items] == ["image"] * 4
    stored = items[3].media[0].source
    assert isinstance(stored, StoredPicture)
    assert open_picture(stored.read()).rgb.shape == (60, 60, 3)


def test_another_split_is_named_as_a_file(folder: Path) -> None:
    [item] = REFCOCO.open(folder / "data/testA-00000-of-00001.parquet").items()
    assert item.key == "testA-00000-of-00001.parquet:1 469308 phrase 1"


def test_figures_by_hand(folder: Path) -> None:
    items = REFCOCO.open(folder).items()
    said = [
        Said("", boxes=(Box(10, 20, 40, 60), Box(0, 0, 1, 1))),  # exact: 1
        Said("", boxes=(Box(10, 20, 40, 40),)),  # half of it: 0.5, still right
        Said("", boxes=(Box(50, 0, 70, 20),)),  # 100 of 400: 0.25
        Said("[0, 0, 30, 30]"),  # words without a box
    ]
    scores = REFCOCO.metric.scores(items, said)
    assert scores == [1.0, 1.0, 0.0, 0.0]
    figures = {f.name: f for f in map(figure, REFCOCO.metric.tallies(items, said, scores))}
    assert figures["IoU@0.5"].value == 0.5
    assert figures["IoU@0.5"].clusters == 2
    assert figures["mean IoU"].value == pytest.approx((1 + 0.5 + 0.25 + 0) / 4)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bbox": [10.0, 20.0, 30.0]}, "bbox has 3 numbers"),
        ({"bbox": [10.0, 20.0, 0.0, 30.0]}, "bbox is 0.0 wide"),
        ({"answer": ["cat", " "]}, "answer has an empty phrase 2"),
        ({"answer": []}, "answer is empty"),
        ({"answer": None}, "has no answer"),
        ({"image": {"bytes": b"no picture", "path": None}}, "image"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    file = write_parquet(tmp_path / "val-00000-of-00001.parquet", [ROWS[0], ROWS[2] | change])
    with pytest.raises(DataError, match=problem) as error:
        REFCOCO.open(tmp_path).items()
    assert error.value.field == f"{file.name}:2"


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "val.jsonl", ROWS)
    file.write_text(file.read_text().replace('"bbox": [50.0', '"bbox": [broken'))
    with pytest.raises(DataError) as error:
        REFCOCO.open(file).items()
    assert error.value.field == "val.jsonl:2"


@needs_lmms
def test_as_lmms_eval(folder: Path) -> None:
    module = "refcoco_grounding.utils"
    phrases = [{"answer": phrase.strip()} for row in ROWS for phrase in row["answer"]]
    items = REFCOCO.open(folder).items()
    corners = [[10.0, 20.0, 40.0, 40.0], [10.0, 20.0, 39.0, 39.0], [10.0, 15.0, 40.0, 62.0]]
    doc = {**ROWS[0], "image": Image.open(io.BytesIO(CUP["bytes"]))}
    texts = [json.dumps([{"bbox_2d": box, "label": "dog"}]) for box in corners]
    calls = [
        *(("refcoco_grounding_doc_to_text", (one,)) for one in phrases),
        *(("_xywh_to_xyxy", (row["bbox"],)) for row in ROWS),
        *(("refcoco_grounding_process_result", (doc, [text])) for text in texts),
    ]
    answers = iter(ask_lmms_all([(module, name, args, {}) for name, args in calls]))
    assert [item.question for item in items] == [next(answers) for _ in phrases]
    truths = [next(answers) for _ in ROWS]
    ours = [items[n].truth for n in (0, 2, 3)]
    assert ours == [Boxes((Box(*corners),)) for corners in truths]
    judged = [next(answers)["refcoco_grounding_ACC@0.5"] for _ in texts]
    given, found = [one["bbox"] for one in judged], [one["pred"] for one in judged]
    theirs = ask_lmms(module, "_compute_accuracy", given, found, [0.5] * 3)
    said = [Said("", boxes=(Box(x0, y0, x1, y1),)) for x0, y0, x1, y1 in corners]
    assert REFCOCO.metric.scores([items[0]] * 3, said) == [float(right) for right in theirs]
    assert theirs == [True, False, True]
