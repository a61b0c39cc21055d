"""From made-up curves to one figure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.eval.probes.position import LEVELS, Middle, on_rim
from sightline.eval.probes.readings import (
    Average,
    Change,
    Endured,
    Largest,
    Lost,
    Lowest,
    Points,
    Reading,
    Smallest,
    Spread,
)

SMALLEST = Smallest("smallest letter, px", "px", "letters are read", 0.1)
LARGEST = Largest("counts up to", "objects", "Counts")
NOISE = Endured("most noise", "of 255", "noise of {:g}", "low")
JPEG = Endured("lowest quality", "quality", "quality {:g}", "high")
ALL: tuple[Reading, ...] = (
    *(SMALLEST, LARGEST, NOISE, JPEG, Spread("spread", "Right"), Lost("lost", "Right")),
    *(Change("more", "first", "last"), Lowest("yes", "first", "last"), Average("mean", "Right")),
)


@pytest.mark.parametrize(
    ("points", "expected", "words"),
    [
        # Half of (0.1, 1) is 0.55: half-way between 0.3 and 0.8, so half-way from 4 to 8 in logs.
        ([(2, 0.1), (4, 0.3), (8, 0.8), (16, 1)], math.sqrt(32), "down to 5.66 px (55.0 %"),
        # A lucky hit at the bottom is none of the levels that follow on from the best.
        ([(4, 1.0), (8, 0.1), (16, 1.0)], math.sqrt(128), "down to 11.3 px"),
        ([(4, 0.55), (8, 0.7)], 4, "down to 4 px, the least that was answered"),
        ([(4, 0.1), (8, 0.5)], math.nan, "at no level (55.0 %, half-way from chance to all): "
         "at best 50.0 % are right, at 8 px."),
        # A level between that fails again: what counts is where it holds up to the best.
        ([(2, 0.9), (4, 0.1), (8, 1)], 4 * 2 ** 0.5, "Letters are read down to 5.66 px"),
        # The best need not be the largest.
        ([(4, 0.1), (16, 1), (64, 0.3)], 8, "down to 8 px"),
        ([(8, 0.55)], 8, "the least"),
    ],
)  # fmt: skip
def test_the_smallest_is_where_a_curve_crosses_half_way(
    points: Points, expected: float, words: str
) -> None:
    assert SMALLEST.value(points) == pytest.approx(expected, nan_ok=True)
    assert words in SMALLEST.words(points)


@given(st.floats(0.05, 0.5), st.floats(1.0, 100.0))
def test_the_smallest_of_a_straight_line_over_logarithms_is_exact(
    slope: float, middle: float
) -> None:
    levels = [middle * 2.0**step for step in (-6.5, -3.1, -0.4, 0.3, 2.2, 6.1)]
    points = [(x, 0.55 + slope * math.log2(x / middle) / 7) for x in levels]
    assert SMALLEST.value(points) == pytest.approx(middle)


@pytest.mark.parametrize(
    ("points", "expected", "words"),
    [
        ([(1, 1), (2, 0.8), (3, 0.79), (4, 1)], 2,
         "Counts up to 2 objects with 80.0 % right or more; 79.0 % are right at 3."),
        ([(1, 0.9), (2, 0.9)], 2, "up to 2 objects with 80.0 % right or more, the most that was"),
        ([(1, 0.7), (2, 1)], 0, "Counts at no level with 80.0 % right or more: 70.0 % are right"),
    ],
)  # fmt: skip
def test_the_largest_is_where_a_curve_first_falls(
    points: Points, expected: float, words: str
) -> None:
    assert LARGEST.value(points) == expected
    assert words in LARGEST.words(points)


def test_what_is_endured_keeps_nine_tenths_of_the_clean_end() -> None:
    points = [(0, 0.8), (8, 0.9), (16, 0.72), (32, 0.71), (64, 0.8)]
    assert NOISE.value(points) == 16
    assert NOISE.words(points) == "Keeps nine tenths of its 80.0 % as far as noise of 16."
    points = [(1, 0.1), (5, 0.85), (10, 0.9), (95, 1)]
    assert JPEG.value(points) == 10
    assert JPEG.words(points) == "Keeps nine tenths of its 100.0 % as far as quality 10."
    nothing = [(0, 0.0), (8, 0.5)]
    assert math.isnan(NOISE.value(nothing))
    assert NOISE.words(nothing) == "Nothing is right at noise of 0 to begin with."
    assert (NOISE.higher_is_better, JPEG.higher_is_better) == (True, False)


def test_differences_between_levels() -> None:
    points = [(1, 0.9), (2, 0.5), (3, 0.6)]
    assert Spread("", "Right").value(points) == pytest.approx(0.4)
    assert Spread("", "Right").words(points) == "Right: 50.0 % at 2 to 90.0 % at 1."
    assert Spread("", "Right").words([(1, 0.5), (2, 0.5)]) == "Right: 50.0 % at every level."
    assert Lost("", "Right").value(points) == pytest.approx(0.4)
    assert Lost("", "Right").words(points) == "Right: 90.0 % at 1, 50.0 % at 2, the worst."
    assert Lost("", "Right").value([(1, 0.5), (2, 0.9)]) == 0
    assert Change("", "early", "late").value(points) == pytest.approx(-0.3)
    assert Change("", "early", "late").words(points) == "90.0 % early, 60.0 % late."
    assert Lowest("", "early", "late").value(points) == 0.9
    assert Average("", "Right").value(points) == pytest.approx(2 / 3)
    assert Average("", "Right").words(points) == (
        "Right: 66.7 % over all levels, 90.0 % at 1, 60.0 % at 3."
    )


def test_the_middle_and_the_rim_of_a_grid() -> None:
    points = [(x, 0.5 if on_rim(x) else 1.0) for x in LEVELS]
    assert sum(map(on_rim, LEVELS)) == 16
    assert Middle().value(points) == 0.5
    points[7] = (8.0, 0.1)
    assert Middle().words(points) == (
        "90.0 % right in the middle, 50.0 % at the rim; the worst cell is row 2, column 3 with "
        "10.0 %."
    )
    alike = [(x, 1.0) for x in LEVELS]
    assert Middle().words(alike).endswith("no cell is worse than another.")
    assert math.isnan(Middle().value([(1.0, 1.0)]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from(ALL))
def test_any_curve_has_words_and_a_figure_within_its_range(
    values: list[float], reading: Reading
) -> None:
    points = [(2.0**number, value) for number, value in enumerate(values)]
    words, found = reading.words(points), reading.value(points)
    assert words.endswith(".") and "nan" not in words
    if reading.unit in ("%", "points"):
        assert -1 <= found <= 1
    elif not math.isnan(found):
        assert found == 0 or points[0][0] <= found <= points[-1][0]
