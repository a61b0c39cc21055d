"""Counts: which number is read, and how far off it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.metrics.made import figures, says, score, words

from sightline.core.errors import DataError
from sightline.eval.metrics.amounts import first_number
from sightline.eval.metrics.numbers import Count


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        ("There are 12 dogs.", 12),
        ("There are 12.", 12),
        ("twelve", 12),
        ("Twenty", 20),
        ("twenty-one", 21),
        ("ninety nine balloons", 99),
        ("Zero", 0),
        ("1,000 people", 1000),
        ("12,345,678", 12345678),
        ("2.5", 2.5),
        ("-3", -3),
        ("two, not 3", 2),
        ("I see none", 0),
        ("There are no dogs", 0),
        ("No, there are 4", 4),
        ("(5)", 5),
        ("a 3D picture of the 2nd dog", None),
        ("3D model of seven dogs", 7),
        ("someone", None),
        ("tenth", None),
        ("many", None),
        ("", None),
        # large numbers, and halves
        ("one hundred", 100),
        ("a hundred dogs", 100),
        ("two hundred and fifty", 250),
        ("three hundred sixty-five", 365),
        ("two thousand", 2000),
        ("two thousand and twenty", 2020),
        ("two hundred thousand", 200_000),
        ("1.5 million", 1_500_000),
        ("two dozen", 24),
        ("2 dozen eggs", 24),
        ("a dozen", 12),
        ("half a dozen", 6),
        ("one and a half", 1.5),
        ("two and a half dogs", 2.5),
        ("hundreds of dogs", None),
        ("dozens", None),
        # shares, times, and numbers that count nothing asked for
        ("5%", None),
        ("two thirds", None),
        ("half", None),
        ("1/2", None),
        ("1½", None),
        ("10:30", None),
        ("1e400", None),
        ("Image 1 shows 3 dogs", 3),
        ("In figure 2 I see 3 dogs in row 4.", 3),
        ("Image 1", None),
        ("bus no. 5 is here", None),
        ("It was taken in 2019. There are 3 dogs.", 3),
        # none
        ("There is no one in the picture.", 0),
        ("No one", 0),
        ("no dogs", 0),
        ("There aren't any dogs", 0),
        ("None of them", 0),
        ("I have no idea.", None),
        ("There is no way to tell how many.", None),
        ("No clue", None),
        ("nobody knows", None),
        ("There is a dog that has no collar", None),
        ("It has no collar", None),
        ("No.", None),
        ("not one", None),
        ("a red one", None),
        # several, and bounds
        ("1, 2, 3, 4, 5", None),
        ("1. a dog\n2. a cat", None),
        ("3 or 4", None),
        ("3-4", None),
        ("between 3 and 4", None),
        ("5/6", None),
        ("2 out of 5", None),
        ("3 dogs and 2 cats", None),
        ("There are no dogs but 2 cats", None),
        ("one dog and another one", None),
        ("more than 3", None),
        ("at least 3", None),
        ("3+", None),
        ("The answer is 3 or 4", None),
        ("The answer is more than 3", None),
        ("3 (three)", 3),
        ("3. There are three dogs.", 3),
        ("There are 3 dogs: 2 brown and 1 black.", 3),
        ("3 dogs and 2 cats, so 5 in total", 5),
        ("3 dogs and 2 cats. The answer is 5.", 5),
        ("The total number of dogs is seven.", 7),
        ("**3**", 3),
    ],
)
def test_first_number(text: str, number: float | None) -> None:
    assert first_number(text) == number


def test_figures_by_hand() -> None:
    items = [words(truth, key=str(n)) for n, truth in enumerate(["3", "4", "0", "10", "2"])]
    found = figures(Count(), items, says("three", "5", "none", "7 dogs", "many"))
    # errors 0, 1, 0, 3 and nothing
    expected = {"accuracy": 2 / 5, "within one": 3 / 5, "mean error": 1, "unparsed": 1 / 5}
    assert found == pytest.approx(expected)
    better = [t.higher_is_better for t in Count().tallies(items[:1], says("3"), [1.0])]
    assert better == [True, True, False, None]


def test_no_number_said_at_all() -> None:
    found = figures(Count(), [words("3")], says("many"))
    assert (found["accuracy"], found["unparsed"]) == (0, 1)
    assert math.isnan(found["mean error"])


@given(st.integers(0, 99), st.integers(-3, 3))
def test_error_is_the_distance(number: int, off: int) -> None:
    found = figures(Count(), [words(str(number))], says(f"I see {number + off}."))
    assert found["mean error"] == abs(off)
    assert found["accuracy"] == (off == 0)
    assert found["within one"] == (abs(off) <= 1)


def test_several_truths() -> None:
    assert score(Count(), words("3", "5"), "five") == 1


def test_a_truth_without_a_number() -> None:
    with pytest.raises(DataError, match="q: has the answer 'lots', which is no number"):
        score(Count(), words("lots"), "3")
