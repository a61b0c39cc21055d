"""NLVR2's rows beside their pictures, and accuracy and consistency computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.eval.lmms_oracle import ask_lmms, needs_lmms
from tests.eval.tasks.published_files import png

from sightline.core.errors import DataError
from sightline.eval.item import Choice, Item
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.nlvr2 import NLVR2
from sightline.pictures import open_picture

BOTTLES = "There are exactly two bottles in the left image."
DOGS = "One dog sleeps."


def row(identifier: str, sentence: str, label: str) -> dict[str, Any]:
    return {
        "validation": {"88": label},
        "sentence": sentence,
        "left_url": "https://example.org/left.jpg",
        "writer": 2,
        "label": label,
        "right_url": "https://example.org/right.jpg",
        "synset": "wine bottle",
        "identifier": identifier,
        "query": "bottles37",
    }


# Sentence 0 of set 850 is asked of pairs 0 and 1, sentence 1 of pair 0; set 9 has one of its own.
ROWS = [
    row("dev-850-0-0", BOTTLES, "True"),
    row("dev-850-1-0", BOTTLES, "False"),
    row("dev-850-0-1", "No bottle is open.", "False"),
    row("dev-9-2-0", DOGS, "True"),
]


def write(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    """`dev.json` has a mapping a line, as it is published."""
    for n, pair in enumerate(("dev-850-0", "dev-850-1", "dev-9-2")):
        place = folder / ("images/dev" if n == 2 else "images")
        place.mkdir(parents=True, exist_ok=True)
        for side in (0, 1):
            (place / f"{pair}-img{side}.png").write_bytes(png(10 * n + side)["bytes"])
    file = folder / "dev.json"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return file


def items_of(path: Path) -> list[Item]:
    return list(NLVR2.open(path).items())


def test_rows_are_read(tmp_path: Path) -> None:
    items = items_of(write(tmp_path))
    keys = ["dev-850-0-0", "dev-850-1-0", "dev-850-0-1", "dev-9-2-0"]
    assert [item.key for item in items] == [f"dev.json:{n} {key}" for n, key in enumerate(keys, 1)]
    left, right, words = items[3].parts
    shades = [int(open_picture(part.source).rgb[0, 0, 0]) for part in (left, right)]  # type: ignore[union-attr, arg-type]
    assert shades == [20, 21]
    assert words == (
        f"Here is a statement about the images. Is it true or false?\n{DOGS}\n(A) True\n(B) False\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert [item.truth for item in items] == [Choice(("True", "False"), n) for n in (0, 1, 1, 0)]
    assert [item.cluster for item in items] == ["dev-850"] * 3 + ["dev-9"]
    assert items[0].unit == items[1].unit
    assert len({item.unit for item in items}) == 3
    assert items_of(tmp_path) == items


def test_figures_by_hand(tmp_path: Path) -> None:
    """One of two answers about the first sentence is wrong; those of the other two are right. As
    nlvr2/eval/metrics.py counts: 3 of 4 right, 2 of 3 sentences consistent."""
    items = items_of(write(tmp_path))
    said = [Said("A"), Said("(A) True"), Said("False"), Said("true.")]
    scores = NLVR2.metric.scores(items, said)
    assert scores == [1.0, 0.0, 1.0, 1.0]
    figures = {f.name: f.value for f in map(figure, NLVR2.metric.tallies(items, said, scores))}
    assert figures == {"accuracy": 0.75, "consistency": pytest.approx(2 / 3), "unparsed": 0.0}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"label": None}, "label is empty: its authors keep the answers"),
        ({"label": "maybe"}, "label is 'Maybe'"),
        ({"identifier": "dev-850-0"}, "identifier is 'dev-850-0'"),
        ({"identifier": "dev-851-0-0"}, "has no picture dev-851-0-img0.png"),
        ({"sentence": ""}, "sentence"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    write(tmp_path, [*ROWS[:2], ROWS[2] | change])
    with pytest.raises(DataError, match=problem) as error:
        items_of(tmp_path)
    assert error.value.field == "dev.json:3"


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = write(tmp_path)
    first, second, *others = file.read_text().splitlines()
    file.write_text("\n".join([first, second[:-3], *others]))
    with pytest.raises(DataError) as error:
        items_of(tmp_path)
    assert error.value.field == "dev.json:2"


@needs_lmms
def test_the_prompt_ends_as_lmms_eval_ends_it(tmp_path: Path) -> None:
    doc = {"question_type": "multi-choice", "question": "Is it?", "options": ""}
    kwargs = {"lmms_eval_specific_kwargs": {"pre_prompt": "", "post_prompt": ""}}
    [asked] = ask_lmms("mantis.utils", "mantis_doc_to_text", [doc], **kwargs)
    [last] = asked.split("\n")[1:]
    assert items_of(write(tmp_path))[0].question.split("\n")[-1] == last
