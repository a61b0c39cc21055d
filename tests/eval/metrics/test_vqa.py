"""VQA accuracy by hand: each rule of its normalisation, and agreement counted out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.metrics.made import figures, says, score, words

from sightline.core.errors import DataError
from sightline.eval.metrics.vqa import VqaAccuracy, vqa_accuracy, vqa_normalised

ANSWERS = st.lists(st.sampled_from(["yes", "no", "Yes.", "maybe", "2", "two"]), min_size=4)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        # case, outer space, line breaks and tabs
        ("  Red\n", "red"),
        ("red\ncar", "red car"),
        ("red\tcar", "red car"),
        # articles go as whole words
        ("The red car", "red car"),
        ("a an the", ""),
        ("theatre", "theatre"),
        # numbers up to ten, and none
        ("Two", "2"),
        ("none", "0"),
        ("zero", "0"),
        ("ten dogs", "10 dogs"),
        ("eleven", "eleven"),
        # a mark with a space beside it goes, any other becomes a space
        ("t-shirt", "t shirt"),
        ("t- shirt", "t shirt"),
        ("red/white", "red white"),
        ("red / white", "red white"),
        ("yes!", "yes"),
        ("(left)", "left"),
        ("hot-dog - big", "hotdog big"),  # one free hyphen frees all
        ("what?no", "what no"),
        # in a text with a number like this all marks go
        ("1,000", "1000"),
        ("1,000-2,000", "10002000"),
        ("1, 000", "1 000"),
        ("a,b", "b"),
        # full stops stay before digits alone
        ("3.5", "3.5"),
        (".5", ".5"),
        ("U.S.", "us"),
        ("5 p.m.", "5 pm"),
        ("yes.", "yes"),
        # colons and apostrophes stay
        ("10:30", "10:30"),
        ("man's", "man's"),
        # apostrophes that are missing are put back
        ("dont", "don't"),
        ("Dont know", "don't know"),
        ("couldntve", "couldntve"),
        ("couldn'tve", "couldn't've"),
        ("couldnt've", "couldn't've"),
        ("oclock", "o'clock"),
        ("twas", "'twas"),
        ("yall'd've", "y'all'd've"),
        ("hes", "he's"),
        ("its", "its"),
        ("im", "im"),
        ("somebody'd", "somebodyd"),  # as published
        ("", ""),
        ("?", ""),
    ],
)
def test_normalisation(text: str, normalised: str) -> None:
    assert vqa_normalised(text) == normalised


@pytest.mark.parametrize(
    ("text", "vqa", "evalai"),
    [
        ("ford,mustang", "ford mustang", "fordmustang"),
        ("red,blue", "red blue", "redblue"),
        ("what?now", "what now", "whatnow"),
        ("that's", "that's", "that 's"),
        ("thats", "that's", "that's"),
        ("man's hat", "man's hat", "man 's hat"),
        ("1,000-2,000", "10002000", "1000 2000"),  # no comma is left to free the hyphen
        ("What? -no", "what no", "what no"),
        ("a,b", "b", "ab"),
        ("Two", "2", "2"),
    ],
)
def test_normalisation_of_both_kinds(text: str, vqa: str, evalai: str) -> None:
    assert (vqa_normalised(text), vqa_normalised(text, "evalai")) == (vqa, evalai)


def test_the_kind_decides_what_is_alike() -> None:
    for people, said, kinds in (
        ("ford,mustang", "ford mustang", (1, 0)),
        ("red,blue", "redblue", (0, 1)),
        ("that's", "thats", (1, 0)),
        ("what?now", "what now", (1, 0)),
    ):
        item = words(*[people] * 10)
        assert (score(VqaAccuracy(), item, said), score(VqaAccuracy("evalai"), item, said)) == kinds


@pytest.mark.parametrize(
    ("agree", "accuracy"),
    # Of ten people k said it. Left out is one of them k times, another 10 - k times.
    [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (5, 1), (10, 1)],
)
def test_accuracy_of_ten_people(agree: int, accuracy: float) -> None:
    people = ["red"] * agree + [f"other {n}" for n in range(10 - agree)]
    assert vqa_accuracy("Red.", people) == pytest.approx(accuracy, abs=1e-12)
    assert score(VqaAccuracy(), words(*people), "the red") == pytest.approx(accuracy, abs=1e-12)


@given(ANSWERS, st.sampled_from(["yes", "no", "2", "nothing"]))
def test_accuracy_is_the_mean_over_all_that_leave_one_out(answers: list[str], said: str) -> None:
    same = [vqa_normalised(answer) == said for answer in answers]
    rests = itertools.combinations(same, len(same) - 1)
    expected = [min(sum(rest) / 3, 1) for rest in rests]
    assert vqa_accuracy(said, answers) == pytest.approx(sum(expected) / len(expected), abs=1e-12)


@given(ANSWERS, st.sampled_from(["yes", "no"]))
def test_accuracy_is_bounded_and_leaves_order_aside(answers: list[str], said: str) -> None:
    found = vqa_accuracy(said, answers)
    assert 0 <= found <= 1
    assert found == pytest.approx(vqa_accuracy(said, sorted(answers)), abs=1e-12)
    assert vqa_accuracy(said, [said] * len(answers)) == 1


@given(st.text("aAn1 ,.?-'\n\tth", max_size=14))
def test_normalised_text_is_lower_case_in_single_spaces(text: str) -> None:
    found = vqa_normalised(text)
    assert found == found.lower() == " ".join(found.split())
    assert not set("?-,\n\t") & set(found)


def test_figure_is_the_mean() -> None:
    items = [words(*["red"] * 10, key="a"), words(*["red"] * 2, *"bcdefghi", key="b")]
    found = figures(VqaAccuracy(), items, says("red", "red"))
    assert found == {"VQA accuracy": pytest.approx(0.8)}


def test_three_answers_are_too_few() -> None:
    with pytest.raises(DataError, match="q: has 3 answers"):
        score(VqaAccuracy(), words("a", "b", "c"), "a")
