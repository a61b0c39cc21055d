"""Winoground's rows, in both published forms, and its three scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.tasks.published_files import png, write_jsonl, write_parquet

from sightline.core.errors import DataError
from sightline.eval.item import Answers, Item
from sightline.eval.metrics.winoground import Winoground, match_tallies, matched
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.winoground import WINOGROUND
from sightline.pictures import open_picture

OLD, CUP = "an old person kisses a young person", "there is a mug in some grass"


def row(number: int, captions: tuple[str, str], **change: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_0": png(10 * number),
        "image_1": png(10 * number + 1),
        "caption_0": captions[0],
        "caption_1": captions[1],
        "tag": "Adjective-Age",
        "secondary_tag": "",
        "num_main_preds": 1,
        "collapsed_tag": "Object" if number else "Relation",
        **change,
    }


ROWS = [
    row(0, (OLD, "a young person kisses an old person")),
    row(1, (CUP, "there is some grass in a mug")),
]


def read(path: Path) -> list[Item]:
    return list(WINOGROUND.open(path).items())


def as_parquet(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    write_parquet(folder / "data/test-00000-of-00001.parquet", rows)
    return folder


def as_jsonl(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    """Pictures in images/, named without suffix: ex_0_img_0."""
    (folder / "data/images").mkdir(parents=True)
    named = []
    for one in rows:
        names = {f"image_{n}": f"ex_{one['id']}_img_{n}" for n in (0, 1)}
        for field, name in names.items():
            (folder / f"data/images/{name}.png").write_bytes(one[field]["bytes"])
        named.append({**one, **names})
    write_jsonl(folder / "data/examples.jsonl", named)
    return folder


def shade(item: Item) -> int:
    source = item.media[0].source
    return int(open_picture(source.read() if hasattr(source, "read") else source).rgb[0, 0, 0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("write", "file"),
    [(as_parquet, "data/test-00000-of-00001.parquet"), (as_jsonl, "data/examples.jsonl")],
)
def test_rows_are_read(tmp_path: Path, write: Any, file: str) -> None:
    items = read(write(tmp_path))
    assert [item.key for item in items[4:]] == [
        f"{file}:2 1 image {v} caption {c}" for v in (0, 1) for c in (0, 1)
    ]
    assert [shade(item) for item in items] == [0, 0, 1, 1, 10, 10, 11, 11]
    assert items[4].question == f'Does this figure show "{CUP}"? Please answer yes or no.'
    truths = [Answers((word,)) for word in ("yes", "no", "no", "yes")]
    assert [item.truth for item in items] == truths * 2
    assert [item.kind for item in items] == ["Relation"] * 4 + ["Object"] * 4
    assert [item.unit for item in items] == [f"{file}:1 0"] * 4 + [f"{file}:2 1"] * 4
    assert [item.cluster for item in items] == [item.unit for item in items]


def test_a_unit_is_right_as_a_whole(tmp_path: Path) -> None:
    """The second example has one wrong answer of four; a third is answered with other words."""
    items = read(as_parquet(tmp_path, [*ROWS, row(2, ("a b", "b a"))]))
    words = "Yes no no Yes. yes no yes yes yes no maybe yes".split(" ")
    said = [Said(word) for word in words]
    scores = Winoground().scores(items, said)
    assert scores == [1.0] * 4 + [1.0, 1.0, 0.0, 1.0] + [1.0, 1.0, 0.0, 1.0]
    figures = {f.name: f.value for f in map(figure, Winoground().tallies(items, said, scores))}
    third, ten = pytest.approx(1 / 3), pytest.approx(10 / 12)
    assert figures == {
        "group score": third,
        "text score": third,
        "image score": third,
        "accuracy": ten,
    }


def test_an_example_with_a_failed_question_is_left_out(tmp_path: Path) -> None:
    items = read(as_parquet(tmp_path))
    said = [Said(word) for word in "yes no no yes no no yes".split(" ")]
    scores = Winoground().scores(items[:7], said)
    group, *_, accuracy = map(figure, Winoground().tallies(items[:7], said, scores))
    assert (group.value, group.count) == (1.0, 1)
    assert accuracy.value == pytest.approx(5 / 7)


# Scores c0_i0, c0_i1, c1_i0, c1_i1 of five examples, and by hand whether text, image are right.
BY_HAND = [
    ((0.9, 0.1, 0.2, 0.8), True, True),
    ((0.9, 0.1, 0.8, 0.85), True, True),
    ((0.5, 0.2, 0.6, 0.9), False, True),  # picture 0 prefers caption 1
    ((0.5, 0.6, 0.1, 0.9), True, False),  # caption 0 prefers picture 1
    ((0.5, 0.5, 0.1, 0.9), True, False),  # a tie is wrong
    ((0.5, 0.1, 0.5, 0.9), False, True),
    ((0.1, 0.9, 0.9, 0.1), False, False),
]


def test_official_scores_by_hand() -> None:
    scores_UCV = np.array([one[0] for one in BY_HAND]).reshape(-1, 2, 2)
    text, image = matched(scores_UCV)
    assert text.tolist() == [one[1] for one in BY_HAND]
    assert image.tolist() == [one[2] for one in BY_HAND]
    figures = {f.name: f.value for f in map(figure, match_tallies(scores_UCV, list("abcdefg")))}
    assert figures == {
        "group score": pytest.approx(2 / 7),
        "text score": pytest.approx(4 / 7),
        "image score": pytest.approx(4 / 7),
    }


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_texts_and_pictures_are_alike(scores: list[float]) -> None:
    """Exchanging captions for pictures exchanges the two scores."""
    scores_UCV = np.array(scores).reshape(1, 2, 2)
    text, image = matched(scores_UCV)
    image_of, text_of = matched(scores_UCV.swapaxes(1, 2))
    assert (text, image) == (text_of, image_of)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"caption_1": None}, "has no caption_1"),
        ({"image_1": None}, "has no image_1"),
        ({"image_0": {"bytes": b"none", "path": None}}, "image_0"),
        ({"collapsed_tag": None}, "has no collapsed_tag"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem) as error:
        read(as_parquet(tmp_path, [ROWS[0], ROWS[1] | change]))
    assert error.value.field == "data/test-00000-of-00001.parquet:2"


def test_a_missing_picture_names_its_line(tmp_path: Path) -> None:
    (as_jsonl(tmp_path) / "data/images/ex_1_img_0.png").unlink()
    with pytest.raises(DataError, match=r"image_0 has no file images/ex_1_img_0\.png") as error:
        read(tmp_path)
    assert error.value.field == "data/examples.jsonl:2"
