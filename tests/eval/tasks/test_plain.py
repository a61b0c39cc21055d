"""A user's own questions: what is read of them, how they are judged, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.eval.tasks.published_files import png, write_jsonl, write_parquet

from sightline.core.errors import DataError
from sightline.core.geometry import Box, Point
from sightline.eval.item import Answers, Boxes, Choice
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.metrics.words import Exact
from sightline.eval.said import Said
from sightline.eval.tasks.plain import METRICS, PlainTask, is_plain

Rows = Sequence[dict[str, Any]]
COLOUR = {"image": "a.png", "question": "Which colour?", "answers": "red"}
LETTER = {"question": "Which shape?", "options": ["square", "circle", "star"], "answer": "B"}
PLACE = {"image": "a.png", "question": "Where is the cup?", "boxes": [[1, 1, 5, 5]]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        Image.new("RGB", (8, 6), "red").save(tmp_path / f"{name}.png")
    return tmp_path


def task(folder: Path, rows: Rows, name: str = "own.jsonl") -> PlainTask:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return PlainTask(file)


def refused(folder: Path, rows: Rows) -> DataError:
    with pytest.raises(DataError) as caught:
        task(folder, rows).items()
    return caught.value


def test_a_row_is_an_item(folder: Path) -> None:
    rows = [
        {**COLOUR, "kind": "colour", "system": "Be brief.", "id": "q7", "source": "mine"},
        {"image": ["a.png", "b.png"], "question": " Same?\n", "answers": ["yes", "same"]},
        {"question": "What is 2 + 2?", "answer": 4},
    ]
    asked = task(folder, rows)
    first, second, third = asked.items()
    assert (asked.name, asked.metric, asked.max_tokens) == ("own.jsonl", Exact(), 64)
    assert first.key == "own.jsonl:1 q7" and second.key == "own.jsonl:2"
    assert (first.question, first.truth) == ("Which colour?", Answers(("red",)))
    assert (first.kind, first.system) == ("colour", "Be brief.")
    assert [media.source for media in first.media] == [folder / "a.png"]
    assert [media.source for media in second.media] == [folder / "a.png", folder / "b.png"]
    assert isinstance(second.parts[-1], str)
    assert second.question == " Same?\n" and second.truth == Answers(("yes", "same"))
    assert (third.media, third.truth) == ((), Answers(("4",)))
    assert (second.kind, second.system) == ("question", None)


def test_rows_about_one_picture_are_one_cluster(folder: Path) -> None:
    rows = [COLOUR, {**COLOUR, "image": "b.png"}, {**COLOUR, "image": "a.png"}, dict(LETTER)]
    rows[3] = {"question": "And?", "answers": "no"}
    one, other, again, none = [item.cluster for item in task(folder, rows).items()]
    assert one == again != other and none == ""


def test_a_placeholder_in_a_question_is_text(folder: Path) -> None:
    [item] = task(folder, [{**COLOUR, "question": "<image> Which?"}]).items()
    assert item.question == "<image> Which?" and len(item.media) == 1


@pytest.mark.parametrize("answer", ["B", "b", 1, "1"])
def test_options_are_shown_under_letters(answer: Any, folder: Path) -> None:
    asked = task(folder, [{**LETTER, "answer": answer}])
    [item] = asked.items()
    assert item.truth == Choice(("square", "circle", "star"), 1)
    assert item.question == (
        "Which shape?\nA. square\nB. circle\nC. star\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert asked.metric == ByLetter()
    assert asked.metric.scores([item, item], [Said("B"), Said("C")]) == [1, 0]


def test_boxes_are_pixels(folder: Path) -> None:
    asked = task(folder, [{**PLACE, "answers": "cup"}])
    [item] = asked.items()
    assert item.truth == Boxes((Box(1, 1, 5, 5),), ("cup",))
    near, far = Said("", boxes=(Box(1, 1, 5, 6),)), Said("", boxes=(Box(5, 5, 7, 6),))
    assert asked.metric.scores([item, item], [near, far]) == [1, 0]  # IoU 16 / 20, and 0


RIGHT_AND_WRONG = {
    "exact": ("Red.", "red car", 1, 0),
    "contains": ("a red car", "blue", 1, 0),
    "anls": ("rad", "blue", 2 / 3, 0),
    "f1": ("red car", "blue", 2 / 3, 0),
    "cer": ("rad", "red", 2 / 3, 1),
    "wer": ("red red", "red", 0, 1),
}


@pytest.mark.parametrize("name", RIGHT_AND_WRONG)
def test_each_metric_of_words_judges(name: str, folder: Path) -> None:
    asked = task(folder, [{**COLOUR, "metric": name}])
    [item] = asked.items()
    one, other, *scores = RIGHT_AND_WRONG[name]
    assert asked.metric.scores([item, item], [Said(one), Said(other)]) == pytest.approx(scores)


@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        ({"metric": "vqa", "answers": ["red"] * 6 + ["pink"] * 4}, "The red", "blue"),
        ({"metric": "relaxed", "answers": "20"}, "21", "22"),
        ({"metric": "yes_no", "answers": "Yes"}, "yes, it is", "no"),
        ({"metric": "count", "answers": 3}, "There are three.", "4"),
    ],
    ids=lambda value: value.get("metric", "") if isinstance(value, dict) else "",
)
def test_each_metric_of_its_own_truth_judges(
    row: dict[str, Any], right: str, wrong: str, folder: Path
) -> None:
    asked = task(folder, [{**COLOUR, **row}])
    [item] = asked.items()
    assert asked.metric.scores([item, item], [Said(right), Said(wrong)]) == [1, 0]


def test_points_are_judged_by_boxes(folder: Path) -> None:
    asked = task(folder, [{**PLACE, "metric": "point"}])
    [item] = asked.items()
    said = [Said("", points=(Point(2, 2),)), Said("", points=(Point(6, 2),))]
    assert asked.metric.scores([item, item], said) == [1, 0]


def test_captions_are_judged_together(folder: Path) -> None:
    rows = [
        {**COLOUR, "metric": "caption", "answers": ["brown dogs run over grass"]},
        {**COLOUR, "metric": "caption", "answers": ["two cats sleep at home"]},
    ]
    asked = task(folder, rows)
    said = [Said("Brown dogs run over grass."), Said("a car")]
    assert asked.metric.scores(asked.items(), said) == pytest.approx([10, 0])


def test_other_formats_of_rows_are_read(tmp_path: Path) -> None:
    rows = [{"image": png(10), "question": "Dark?", "answers": ["yes"]}]
    held = PlainTask(write_parquet(tmp_path / "own.parquet", rows)).items()[0]
    named = PlainTask(write_jsonl(tmp_path / "own.jsonl", rows)).items()[0]
    assert (held.question, held.truth) == (named.question, named.truth)
    assert len(held.cluster) == 16
    (tmp_path / "own.csv").write_text("question,answer,image\nDark?,yes,10.png\nLight?,no,\n")
    first, second = PlainTask(tmp_path / "own.csv").items()
    assert [media.source for media in first.media] == [tmp_path / "10.png"]
    assert (second.media, second.truth) == ((), Answers(("no",)))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no question": ({"answers": "red"}, "has no question"),
    "an empty question": ({"question": " ", "answers": "red"}, "question is ' '"),
    "no answers": ({"question": "Which?"}, "has no answers"),
    "empty answers": ({**COLOUR, "answers": []}, "answers is empty"),
    "a blank answer": ({**COLOUR, "answers": ["red", " "]}, "answers holds ' '"),
    "answers of another kind": ({**COLOUR, "answers": [1]}, "not a list of texts"),
    "two fields of answers": ({**COLOUR, "answer": "red"}, "beside answers"),
    "a picture that is not there": ({**COLOUR, "image": "c.png"}, "image"),
    "a picture on the web": ({**COLOUR, "image": "https://a.org/b.png"}, "nothing is fetched"),
    "a list with a picture that is not there": ({**COLOUR, "image": ["a.png", "c.png"]}, "image"),
    "a field of almost this name": ({**COLOUR, "metrics": "anls"}, "has the field metrics"),
    "a picture under another name": (
        {"image_1": "a.png", "question": "Which?", "answers": "red"},
        "has the field image_1; did you mean image?",
    ),
    "an unknown metric": ({**COLOUR, "metric": "accuracy"}, "metric is 'accuracy'"),
    "another metric": ({**COLOUR, "metric": "anls"}, "is anls, that of own.jsonl:1 is exact"),
    "options among answers": (dict(LETTER), "is choice, that of own.jsonl:1 is exact"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_row_is_named(name: str, folder: Path) -> None:
    row, problem = REFUSED[name]
    error = refused(folder, [COLOUR, row])
    assert error.field.startswith("own.jsonl:2") and problem in str(error) and error.fix


REFUSED_ALONE: dict[str, tuple[dict[str, Any], str]] = {
    "no answer": ({**LETTER, "answer": None}, "has no answer"),
    "a letter too far": ({**LETTER, "answer": "D"}, "'D' is none of 3 options"),
    "a number too far": ({**LETTER, "answer": 3}, "'3' is none of 3 options"),
    "a word": ({**LETTER, "answer": "circle"}, "is none of 3 options"),
    "an empty letter": ({**LETTER, "answer": ""}, "answer is ''"),
    "one option": ({**LETTER, "options": ["square"]}, "options are 1"),
    "answers to options": ({**LETTER, "answers": ["B"]}, "beside options"),
    "options judged as words": ({**LETTER, "metric": "exact"}, "options are not judged by exact"),
    "choice without options": ({**COLOUR, "metric": "choice"}, "has no options"),
    "boxes judged as words": ({**PLACE, "answers": "x", "metric": "anls"}, "boxes are not judged"),
    "box without boxes": ({**COLOUR, "metric": "box"}, "has no boxes"),
    "no box": ({**PLACE, "boxes": []}, "boxes is []"),
    "a box that is no list": ({**PLACE, "boxes": [1, 1, 5, 5]}, "not four numbers"),
    "a box of three": ({**PLACE, "boxes": [[1, 1, 5]]}, "not four numbers"),
    "a box of words": ({**PLACE, "boxes": [[1, 1, 5, "5"]]}, "not four numbers"),
    "an empty box": ({**PLACE, "boxes": [[5, 1, 5, 5]]}, "which is empty"),
    "a count in words": ({**COLOUR, "metric": "count"}, "not a number"),
    "neither yes nor no": ({**COLOUR, "metric": "yes_no"}, "not yes or no"),
}


@pytest.mark.parametrize("name", REFUSED_ALONE)
def test_a_truth_that_its_metric_cannot_judge_is_refused(name: str, folder: Path) -> None:
    row, problem = REFUSED_ALONE[name]
    error = refused(folder, [row])
    assert error.field.startswith("own.jsonl:1") and problem in str(error) and error.fix


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_box_without_end_is_refused(number: float, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "own.parquet", [PLACE | {"boxes": [[1.0, 1.0, 5.0, number]]}])
    with pytest.raises(DataError, match=r"own\.parquet:1: boxes hold .* not four numbers"):
        PlainTask(file).items()


def test_names_that_go_on_from_known_ones_are_the_users_own(folder: Path) -> None:
    own = {"question_id": 7, "image_1": "x", "answer_1": "y", "answers_from": "z"}
    [item] = task(folder, [{**COLOUR, **own}]).items()
    assert item.truth == Answers(("red",)) and len(item.media) == 1


def test_names_of_fields_are_compared_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def matches(word: str, *rest: Any) -> list[str]:
        compared.append(word)
        return []

    monkeypatch.setattr("sightline.eval.tasks.plain.difflib.get_close_matches", matches)
    rows = [{**COLOUR, "id": n, "source": "mine"} for n in range(20)]
    assert len(task(folder, [*rows, {**COLOUR, "page": 1}]).items()) == 21
    assert sorted(compared) == ["id", "page", "source"]


def test_an_empty_file_and_too_many_questions_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="has 1 questions, 2"):
        task(folder, [COLOUR]).items(2)
    with pytest.raises(DataError, match="own"):
        task(folder, []).items()


def test_plain_rows_are_told_from_training_rows(folder: Path) -> None:
    talk = {"messages": [{"role": "user", "content": "Hi"}]}
    judged = {"question": "Which?", "chosen": "red", "rejected": "blue"}
    for number, row in enumerate([COLOUR, LETTER, PLACE, {"question": "2 + 2?", "answer": 4}]):
        assert is_plain(task(folder, [row], f"plain{number}.jsonl").path)
    for number, row in enumerate([talk, judged, {"answers": "red"}]):
        assert not is_plain(task(folder, [row], f"other{number}.jsonl").path)
    assert not is_plain(folder / "missing.jsonl")


def test_every_metric_has_a_case_here() -> None:
    tried = {*RIGHT_AND_WRONG, "vqa", "relaxed", "yes_no", "count"}
    assert set(METRICS) == tried | {"choice", "box", "point", "caption"}
