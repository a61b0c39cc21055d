"""Scores of every kind of question, and items that training never draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.data.worlds import scenes
from sightline.eval.item import Answers, Boxes, Choice, Item, asked_about
from sightline.eval.said import Said
from sightline.eval.tasks.scenes import SceneScore, ScenesTask, f1, phrases
from sightline.eval.tasks.task import normalised

TASK = ScenesTask(seed=3, side=48)
BLANK = np.zeros((1, 1, 3), np.uint8)


def score(item: Item, said: Said) -> float:
    [found] = TASK.metric.scores([item], [said])
    return found


def item(kind: str, answer: str, *boxes: Box) -> Item:
    texts = tuple(phrases(answer)) if kind == "dense" else ()
    truth = Boxes(boxes, texts) if boxes else Answers((answer,))
    return Item("0/0", asked_about(BLANK, "?"), truth, kind, kind)


def picture(one: Item) -> Any:
    [media] = one.media
    return media.source


@pytest.mark.parametrize(
    ("said", "expected"), [("red", 1), (" Red. ", 1), ("dark red", 0), ("", 0), ("re", 0)]
)
def test_words_are_matched_whole(said: str, expected: float) -> None:
    assert score(item("colour", "red"), Said(said)) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [(Box(0, 0, 10, 10), 1), (Box(0, 0, 10, 5), 1), (Box(0, 0, 10, 4.9), 0), (Box(5, 5, 9, 5), 0)],
)
def test_boxes_are_matched_by_half_their_union(box: Box, expected: float) -> None:
    wanted = item("locate", "", Box(0, 0, 10, 10))
    assert score(wanted, Said("[..]", (box,))) == expected
    assert score(wanted, Said("no box")) == 0


CAPTION = "a small red star, a blue cross and a large green ring"


@pytest.mark.parametrize(
    ("said", "expected"),
    [(CAPTION, 1), ("A blue cross, a large green ring and a small red star.", 1),
     ("a small red star", 2 / 4), ("a small red star and a small red star", 2 / 5),
     ("a red star", 0), ("", 0)],
)  # fmt: skip
def test_captions_are_scored_by_the_f1_of_their_phrases(said: str, expected: float) -> None:
    assert score(item("caption", CAPTION), Said(said)) == pytest.approx(expected)


STAR, CROSS = Box(0, 0, 10, 10), Box(20, 20, 30, 30)
DENSE = item("dense", "a red star, a blue cross", STAR, CROSS)


@pytest.mark.parametrize(
    ("said", "boxes", "expected"),
    [("a red star [1, 2], a blue cross [3]", (STAR, CROSS), 1),
     ("a blue cross [3], a red star [1, 2]", (CROSS, STAR), 1),
     ("a red star [1], a blue cross [2]", (CROSS, STAR), 0),
     ("a red star [1]", (STAR,), 2 / 3),
     ("a red star [1], a red star [1]", (STAR, STAR), 1 / 2),
     ("a red star [1], a blue cross", (STAR,), 0),
     ("", (), 0)],
)  # fmt: skip
def test_dense_descriptions_need_phrase_and_box(
    said: str, boxes: tuple[Box, ...], expected: float
) -> None:
    assert score(DENSE, Said(said, boxes)) == pytest.approx(expected)


def test_text_is_normalised_and_split() -> None:
    assert normalised(" Two.  ") == "two"
    assert phrases("A red  star [1, 2, 3, 4], a ring [5] and a cross.") == [
        "a red star", "a ring", "a cross"]  # fmt: skip
    assert phrases("") == [] and f1([], []) == 0


def test_the_true_answer_of_every_kind_scores_one() -> None:
    items = TASK.items(3 * len(scenes.KINDS))
    assert {i.kind for i in items} == {*scenes.KINDS}
    for one in items:
        words = ", ".join(one.truth.texts) if isinstance(one.truth, Boxes) else one.answer
        assert score(one, Said(words, one.boxes)) == 1
        assert score(one, Said("nothing of the kind")) == 0


def test_items_are_a_function_of_seed_and_index() -> None:
    some, more = TASK.items(6), TASK.items(9)
    for a, b in zip(some, more, strict=False):
        assert (a.key, a.question, a.answer, a.boxes) == (b.key, b.question, b.answer, b.boxes)
        assert np.array_equal(picture(a), picture(b)) and picture(a).shape == (48, 48, 3)
    other = ScenesTask(seed=4, side=48).items(6)
    assert all(not np.array_equal(picture(a), picture(b)) for a, b in zip(some, other, strict=True))


def test_no_item_is_a_picture_of_training() -> None:
    held = {picture(i).tobytes() for seed in range(3) for i in ScenesTask(seed, 48).items(30)}
    trained = {
        scenes.draw(scenes.scene(seed, index), 48).tobytes()
        for seed in range(3)
        for index in range(60)
    }
    assert len(held) == 90 and len(trained) == 180 and not held & trained


def test_figures_tell_one_word_answers_from_others() -> None:
    items = [item("colour", "red"), item("colour", "blue"), item("caption", CAPTION)]
    said = [Said("red"), Said("red"), Said(CAPTION)]
    every, words = SceneScore().tallies(items, said, SceneScore().scores(items, said))
    assert (every.name, words.name) == ("score", "one-word answers")
    assert every.value(every.rows_NK.sum(0)) == pytest.approx(2 / 3)
    assert words.value(words.rows_NK.sum(0)) == 1 / 2
    [only] = SceneScore().tallies(items[:1], said[:1], [1.0])
    assert only.name == "score"


def test_another_truth_is_refused() -> None:
    other = Item("0/1", asked_about(BLANK, "?"), Choice(("a", "b"), 0))
    with pytest.raises(DataError, match="0/1: is no question about a scene"):
        score(other, Said("a"))
