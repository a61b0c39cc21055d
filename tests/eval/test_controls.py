"""Is it looking? Models that are built to look, or not to, and what their report says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.eval.controls import Control, conversations
from sightline.eval.report import Report, report
from sightline.eval.run import run
from sightline.eval.tasks.scenes import ScenesTask
from sightline.eval.tasks.task import Item

CONTROLS: tuple[Control, ...] = ("full", "blind", "swapped")


@dataclass(frozen=True)
class Said:
    text: str
    boxes: tuple[Box, ...] = ()


@dataclass
class Model:
    """Answers one message at a time by a rule on (question, picture or None)."""

    rule: Callable[[str, Any], str]
    batches: tuple[int, ...] = ()

    def answer_all(self, conversations: Sequence[Any], **sampling: Any) -> list[Said]:
        self.batches += (len(conversations),)
        return [Said(self.rule(*_split(conversation))) for conversation in conversations]


def _split(conversation: Any) -> tuple[str, Any]:
    (message,) = conversation
    pictures = [p["image"] for p in message["content"] if p["type"] == "image"]
    return message["content"][-1]["text"], pictures[0] if pictures else None


def shade(index: int) -> Item:
    """A picture that is dark or bright, under a question whose words give away half of all."""
    bright = index % 4 < 2
    picture = np.full((4, 4, 3), 200 + index if bright else index, np.uint8)
    question = "Is it bright?" if index % 2 else "Is it dark?"
    answer = "yes" if bright == bool(index % 2) else "no"
    return Item(f"0/{index}", "exists", question, picture, question, answer)


ITEMS = [shade(i) for i in (*range(20), *range(2, 22))]


def looks(question: str, picture: Any) -> str:
    if picture is None:
        return "no"
    return "yes" if (picture.mean() > 100) == ("bright" in question) else "no"


def asked(rule: Callable[[str, Any], str], items: Sequence[Item] = ITEMS, batch: int = 7) -> Report:
    task, model = ScenesTask(), Model(rule)
    return report("shades", {c: run(model, task, items, c, batch=batch) for c in CONTROLS})


def test_a_model_that_hears_the_question_alone() -> None:
    made = asked(lambda question, picture: "yes")
    assert made.overall["full"] == made.overall["blind"] == made.overall["swapped"]
    assert made.overall["full"].mean == made.majority == 0.5
    assert made.sentence == "0.0 points of 50.0 come from the picture."


def test_a_model_that_looks_collapses_without_its_picture() -> None:
    made = asked(looks)
    assert {c: made.overall[c].mean for c in CONTROLS} == {"full": 1, "blind": 0.5, "swapped": 0}
    assert made.sentence == "50.0 points of 100.0 come from the picture."
    assert made.closed == made.overall and made.by_kind["full"]["exists"].count == 40
    assert made.overall["swapped"].high == 0 and made.overall["blind"].low > 0.3
    assert made.as_dict()["overall"]["blind"]["mean"] == 0.5


def test_controls_change_the_picture_alone() -> None:
    full, blind, swapped = (conversations(ITEMS, control) for control in CONTROLS)
    for index, item in enumerate(ITEMS):
        question, picture = _split(full[index])
        assert question == item.question and picture is item.picture
        assert _split(blind[index]) == (item.question, None)
        question, picture = _split(swapped[index])
        assert question == item.question and picture is not item.picture
    used = sorted(id(_split(c)[1]) for c in swapped)
    assert used == sorted(id(i.picture) for i in ITEMS)


def test_an_odd_list_and_a_pair_are_swapped_too() -> None:
    for items in (ITEMS[:2], ITEMS[:5]):
        swapped = [_split(c)[1] for c in conversations(items, "swapped")]
        assert all(a is not b.picture for a, b in zip(swapped, items, strict=True))


@pytest.mark.parametrize("batch", [1, 3, 40, 100])
def test_batches_and_order_change_nothing(batch: int) -> None:
    assert asked(looks, batch=batch) == asked(looks)
    backwards = run(Model(looks), ScenesTask(), ITEMS[::-1], "full", batch=batch)
    forwards = run(Model(looks), ScenesTask(), ITEMS, "full")
    assert [(o.item.key, o.reply) for o in backwards[::-1]] == [
        (o.item.key, o.reply) for o in forwards
    ]
    model = Model(looks)
    run(model, ScenesTask(), ITEMS, "full", batch=batch)
    assert sum(model.batches) == len(ITEMS) and max(model.batches) <= batch
    with pytest.raises(DataError, match="batch"):
        run(model, ScenesTask(), ITEMS, "full", batch=0)


def test_kinds_without_a_majority_answer_stay_out_of_the_blind_figure() -> None:
    captions = [Item(f"1/{i}", "caption", "c", ITEMS[i].picture, "Say.", "a ring") for i in (0, 1)]
    made = asked(looks, [*ITEMS, *captions])
    assert made.overall["full"].count == 42 and made.closed["full"].count == 40
    assert made.majority == 0.5 and made.overall["full"].mean == pytest.approx(40 / 42)
    alone = asked(looks, captions)
    assert alone.closed == {} and alone.majority == 0


def test_without_controls_the_sentence_says_so() -> None:
    outcomes = run(Model(looks), ScenesTask(), ITEMS, "full")
    assert "run the controls" in report("shades", {"full": outcomes}).sentence
