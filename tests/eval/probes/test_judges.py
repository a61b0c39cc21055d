"""Answers in one word and in sentences, pairs, and shares of yes: by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from sightline.core.errors import DataError
from sightline.data.worlds import pages
from sightline.eval.item import Answers, Choice, Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.probes.judges import (
    CLASSES,
    Agreement,
    FalseYes,
    OneWord,
    Together,
    YesBias,
    heard,
    sensitivity,
)
from sightline.eval.said import Said
from sightline.eval.statistics import figure


def item(answer: str, number: int = 0, unit: str = "") -> Item:
    return Item(str(number), ("?",), Answers((answer,)), unit=unit)


def figures(metric: Metric, items: Sequence[Item], texts: Sequence[str]) -> dict[str, float]:
    said = [Said(text) for text in texts]
    tallies = metric.tallies(items, said, metric.scores(items, said))
    return {tally.name: figure(tally).value for tally in tallies}


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("red", "red", "red"), ("red", "The circle is RED.", "red"), ("red", "dark blue", "blue"),
        ("red", "red or blue", None), ("red", "a circle", None), ("red", "", None),
        ("red", "reddish", None), ("left", "It is to the left of the star.", "left"),
        ("left", "above", "above"), ("front", "In front of the square.", "front"),
        ("behind", "behind it", "behind"), ("R", "r", "r"), ("R", "The letter is R.", "r"),
        ("S", "It's S", "s"), ("R", "Q", None), ("lantern", "It says “lantern”.", "lantern"),
        ("4", "four", "4"), ("4", "There are 4 of them.", "4"), ("4", "many", None),
        ("yes", "Yes, there is.", "yes"), ("no", "No, there is none.", "no"), ("no", "blue", None),
        ("cross", "It is a cross.", "cross"), ("cross", "It is crossed.", None),
    ],
)  # fmt: skip
def test_what_is_heard_of_an_answer(answer: str, text: str, expected: str | None) -> None:
    assert heard(item(answer), text) == expected
    right = float(expected == answer.lower())
    assert OneWord().scores([item(answer)], [Said(text)]) == [right]


def test_no_word_is_of_two_classes() -> None:
    words = [word for names in CLASSES for word in names]
    assert len(words) == len(set(words)) and set(pages.WORDS) <= set(words)


def test_what_cannot_be_heard_is_counted() -> None:
    items = [item("red", number) for number in range(4)]
    found = figures(OneWord(), items, ["red", "blue", "red or blue", "?"])
    assert found == {"accuracy": 0.25, "unparsed": 0.5}


def test_truths_of_no_class_are_refused() -> None:
    with pytest.raises(DataError, match="'crimson'"):
        OneWord().scores([item("crimson")], [Said("red")])
    with pytest.raises(DataError, match="Choice"):
        OneWord().scores([Item("a", ("?",), Choice(("red",), 0))], [Said("red")])


def test_a_pair_is_right_if_both_are() -> None:
    items = [
        item("left", 0, "a"),
        item("right", 1, "a"),
        item("left", 2, "b"),
        item("right", 3, "b"),
    ]
    found = figures(Together(), items, ["left", "right", "left", "left"])
    assert found == {"pairs right": 0.5, "accuracy": 0.75, "unparsed": 0}


def test_agreement_is_of_answers_right_or_wrong() -> None:
    items = [item("red", n, "abc"[n // 2]) for n in range(6)]
    found = figures(Agreement(), items, ["blue", "It is blue.", "red", "blue", "?", "!"])
    assert found["agreement"] == pytest.approx(1 / 3)  # the first: what is not heard never agrees
    assert found["accuracy"] == pytest.approx(1 / 6) and found["unparsed"] == pytest.approx(1 / 3)
    assert "agreement" not in figures(Agreement(), items[::2], ["red", "red", "red"])


ASKED = [item("yes" if n < 10 else "no", n) for n in range(20)]


def test_yes_to_what_is_there_and_to_what_is_absent() -> None:
    texts = ["yes"] * 9 + ["no"] + ["yes"] * 2 + ["no"] * 7 + ["perhaps"]
    assert figures(FalseYes(), ASKED, texts) == {
        "accuracy": 0.8, "false yes": 0.2, "true yes": 0.9, "unparsed": 0.05,
    }  # fmt: skip
    found = figures(YesBias(), ASKED, texts)
    assert (found["yes-share"], found["accuracy"]) == (0.55, 0.8)
    hits, false = (below(9.5 / 11), below(2.5 / 11))
    assert found["d-prime"] == pytest.approx(hits - false, abs=1e-6)
    none = figures(FalseYes(), ASKED[:10], texts[:10])
    assert math.isnan(none["false yes"]) and none["true yes"] == 0.9


def below(share: float) -> float:
    """The quantile of a normal distribution, from math.erf by halving."""
    low, high = -9.0, 9.0
    for _ in range(80):
        middle = (low + high) / 2
        under = (1 + math.erf(middle / math.sqrt(2))) / 2 < share
        low, high = (middle, high) if under else (low, middle)
    return low


@pytest.mark.parametrize("text", ["yes", "no", "perhaps"])
def test_one_answer_to_all_tells_nothing(text: str) -> None:
    found = figures(YesBias(), ASKED, [text] * 20)
    assert found["d-prime"] == 0 and found["yes-share"] == float(text == "yes")


def test_sensitivity_is_undefined_without_both_sorts() -> None:
    assert np.isnan(sensitivity(np.array([[3.0, 4, 0, 0], [0, 0, 1, 4]]))).all()
    assert sensitivity(np.array([10.0, 10, 0, 10])) == pytest.approx(2 * below(10.5 / 11))
