"""Scores of every kind of question, and items that training never draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sightline.core.geometry import Box
from sightline.data.worlds import scenes
from sightline.eval.tasks.scenes import ScenesTask, f1, normalised, phrases
from sightline.eval.tasks.task import Item

TASK = ScenesTask(seed=3, side=48)
BLANK = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Said:
    text: str
    boxes: tuple[Box, ...] = ()


def item(kind: str, answer: str, *boxes: Box) -> Item:
    return Item("0/0", kind, kind, BLANK, "?", answer, boxes)


@pytest.mark.parametrize(
    ("said", "score"), [("red", 1), (" Red. ", 1), ("dark red", 0), ("", 0), ("re", 0)]
)
def test_words_are_matched_whole(said: str, score: float) -> None:
    assert TASK.score(item("colour", "red"), Said(said)) == score


@pytest.mark.parametrize(
    ("box", "score"),
    [(Box(0, 0, 10, 10), 1), (Box(0, 0, 10, 5), 1), (Box(0, 0, 10, 4.9), 0), (Box(5, 5, 9, 5), 0)],
)
def test_boxes_are_matched_by_half_their_union(box: Box, score: float) -> None:
    wanted = item("locate", "", Box(0, 0, 10, 10))
    assert TASK.score(wanted, Said("[..]", (box,))) == score
    assert TASK.score(wanted, Said("no box")) == 0


CAPTION = "a small red star, a blue cross and a large green ring"


@pytest.mark.parametrize(
    ("said", "score"),
    [(CAPTION, 1), ("A blue cross, a large green ring and a small red star.", 1),
     ("a small red star", 2 / 4), ("a small red star and a small red star", 2 / 5),
     ("a red star", 0), ("", 0)],
)  # fmt: skip
def test_captions_are_scored_by_the_f1_of_their_phrases(said: str, score: float) -> None:
    assert TASK.score(item("caption", CAPTION), Said(said)) == pytest.approx(score)


STAR, CROSS = Box(0, 0, 10, 10), Box(20, 20, 30, 30)
DENSE = item("dense", "a red star, a blue cross", STAR, CROSS)


@pytest.mark.parametrize(
    ("said", "boxes", "score"),
    [("a red star [1, 2], a blue cross [3]", (STAR, CROSS), 1),
     ("a blue cross [3], a red star [1, 2]", (CROSS, STAR), 1),
     ("a red star [1], a blue cross [2]", (CROSS, STAR), 0),
     ("a red star [1]", (STAR,), 2 / 3),
     ("a red star [1], a red star [1]", (STAR, STAR), 1 / 2),
     ("a red star [1], a blue cross", (STAR,), 0),
     ("", (), 0)],
)  # fmt: skip
def test_dense_descriptions_need_phrase_and_box(
    said: str, boxes: tuple[Box, ...], score: float
) -> None:
    assert TASK.score(DENSE, Said(said, boxes)) == pytest.approx(score)


def test_text_is_normalised_and_split() -> None:
    assert normalised(" Two.  ") == "two"
    assert phrases("A red  star [1, 2, 3, 4], a ring [5] and a cross.") == [
        "a red star", "a ring", "a cross"]  # fmt: skip
    assert phrases("") == [] and f1([], []) == 0


def test_the_true_answer_of_every_kind_scores_one() -> None:
    items = TASK.items(3 * len(scenes.KINDS))
    assert {i.kind for i in items} == {*scenes.KINDS}
    for one in items:
        assert TASK.score(one, Said(one.answer, one.boxes)) == 1
        assert TASK.score(one, Said("nothing of the kind")) == 0


def test_items_are_a_function_of_seed_and_index() -> None:
    some, more = TASK.items(6), TASK.items(9)
    for a, b in zip(some, more, strict=False):
        assert (a.key, a.question, a.answer, a.boxes) == (b.key, b.question, b.answer, b.boxes)
        assert np.array_equal(a.picture, b.picture) and a.picture.shape == (48, 48, 3)
    other = ScenesTask(seed=4, side=48).items(6)
    assert all(not np.array_equal(a.picture, b.picture) for a, b in zip(some, other, strict=True))


def test_no_item_is_a_picture_of_training() -> None:
    held = {i.picture.tobytes() for seed in range(3) for i in ScenesTask(seed, 48).items(30)}
    trained = {
        scenes.draw(scenes.scene(seed, index), 48).tobytes()
        for seed in range(3)
        for index in range(60)
    }
    assert len(held) == 90 and len(trained) == 180 and not held & trained
