"""Letters are as high as they say, and small ones are large ones seen through larger pixels."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import DataError
from sightline.data.worlds import eye_chart, scenes
from sightline.data.worlds.eye_chart import LETTERS, Chart, ChartDial, chart, draw, glyph, heldout

SIZES = st.floats(4.0, 64.0)
OFFSETS = st.floats(0.0, 0.99)


FROZEN = ("D", "white", 35.164612)


def coverage(letter: str, left: float, top: float, size: float) -> np.ndarray:
    return np.asarray(glyph(letter, left, top, size), np.float64) / 255


def ground_of(shown: Chart) -> np.ndarray:
    return scenes.draw(scenes.Scene((), shown.ground), shown.side).astype(np.float64)


@given(st.sampled_from(LETTERS), OFFSETS, OFFSETS, SIZES)
def test_a_letter_fills_its_square(letter: str, left: float, top: float, size: float) -> None:
    seen = coverage(letter, left, top, size)
    assert seen.shape == (math.ceil(top + size), math.ceil(left + size))
    rows, cols = np.nonzero(seen.max(1) > 0)[0], np.nonzero(seen.max(0) > 0)[0]
    for found, begin in ((rows, top), (cols, left)):
        high = found[-1] + 1 - found[0]
        assert size - 1 <= high <= size + 2  # pixels that it touches
        assert found[0] <= begin + 1 and found[-1] >= begin + size - 2


@pytest.mark.parametrize("letter", ["D", "H", "K", "N", "R", "Z"])  # with straight tops and bottoms
@pytest.mark.parametrize("size", [20.0, 33.5, 48.25, 64.0])
def test_the_height_is_measured_in_pixels(letter: str, size: float) -> None:
    for top in (0.0, 0.3, 0.75):
        seen = coverage(letter, 0.0, top, size)
        assert seen.max(1).sum() == pytest.approx(size, abs=0.2)  # pixels


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("times", [2, 4, 8])
def test_small_letters_are_large_ones_averaged(letter: str, times: int) -> None:
    large = coverage(letter, 0.0, 0.0, 64.0)
    side = 64 // times
    averaged = large.reshape(side, times, side, times).mean((1, 3))
    small = coverage(letter, 0.0, 0.0, side)
    assert np.abs(small - averaged).max() < 0.04  # of full ink


def test_letters_look_different() -> None:
    drawn = {letter: coverage(letter, 0.0, 0.0, 16.0).ravel() for letter in LETTERS}
    for one in LETTERS:
        for other in LETTERS:
            shared = np.minimum(drawn[one], drawn[other]).sum()
            joined = np.maximum(drawn[one], drawn[other]).sum()
            assert (shared / joined > 0.95) == (one == other), (one, other)


def test_another_letter_is_refused() -> None:
    with pytest.raises(DataError, match="use one of CDHKNORSVZ"):
        glyph("A", 0.0, 0.0, 9.0)


def read(shown: Chart) -> str:
    """The letter whose coverage explains the picture best: from pixels, place and size alone."""
    ink = np.array(scenes.COLOURS[shown.colour], np.float64)
    left, top = math.floor(shown.box.x0), math.floor(shown.box.y0)
    pixels, ground = draw(shown).astype(np.float64), ground_of(shown)

    def miss(letter: str) -> float:
        seen = coverage(letter, shown.box.x0 - left, shown.box.y0 - top, shown.size)
        expected = ground.copy()
        part = expected[top : top + seen.shape[0], left : left + seen.shape[1]]
        part += seen[:, :, None] * (ink - part)
        return float(np.abs(expected - pixels).sum())

    return min(LETTERS, key=miss)


@pytest.mark.parametrize("size", [4.0, 5.6, 16.0, 64.0])
def test_the_letter_is_in_the_picture(size: float) -> None:
    charts = [heldout(3, number, "letter", size) for number in range(20)]
    assert [read(shown) for shown in charts] == [shown.name for shown in charts]


@pytest.mark.parametrize("sort", eye_chart.SORTS)
@pytest.mark.parametrize("size", [4.0, 11.0, 45.0])
def test_what_is_shown_is_where_its_box_says(sort: eye_chart.Sort, size: float) -> None:
    for number in range(12):
        shown = heldout(5, number, sort, size)
        differs = np.abs(draw(shown).astype(np.float64) - ground_of(shown)).max(2) > 2
        rows, cols = np.nonzero(differs)
        box = shown.box
        assert box.x0 - 1 <= cols.min() and cols.max() <= box.x1
        assert box.y0 - 1 <= rows.min() and rows.max() <= box.y1
        assert 0 <= box.x0 and box.x1 <= 128 and 0 <= box.y0 and box.y1 <= 128
        assert (rows.max() + 1 - rows.min(), cols.max() + 1 - cols.min()) == (
            pytest.approx(size, abs=2),
            pytest.approx(size, abs=2),
        )


def test_the_same_seed_is_the_same_picture() -> None:
    for sort in eye_chart.SORTS:
        assert chart(0, 7, sort) == chart(0, 7, sort) != chart(1, 7, sort)
        assert (draw(chart(0, 7, sort)) == draw(chart(0, 7, sort))).all()
        assert draw(heldout(0, 7, sort, 9)).tobytes() == draw(heldout(0, 7, sort, 9)).tobytes()
    shown = chart(0, 7, "letter")  # numbers of Python's generator: they may never change
    assert (shown.name, shown.colour, round(shown.size, 6)) == FROZEN


def test_heights_are_even_on_a_logarithmic_scale() -> None:
    dial = ChartDial(smallest=4, largest=64)
    sizes = [chart(0, number, "letter", dial).size for number in range(2000)]
    octaves = Counter(int(math.log2(size / 4)) for size in sizes)
    assert set(octaves) <= {0, 1, 2, 3}
    assert all(430 <= octaves[octave] <= 570 for octave in range(4))  # 500, 3.6 standard deviations


@pytest.mark.parametrize("sort", eye_chart.SORTS)
def test_names_come_evenly(sort: eye_chart.Sort) -> None:
    names = eye_chart.names(sort)
    trained = Counter(chart(0, number, sort).name for number in range(300 * len(names)))
    assert all(230 <= trained[name] <= 370 for name in names)  # 300, four standard deviations
    for lap in range(4):
        asked = [heldout(0, lap * len(names) + turn, sort, 8).name for turn in range(len(names))]
        assert sorted(asked) == sorted(names)


def test_what_is_asked_was_never_trained_on() -> None:
    dial = ChartDial(smallest=8, largest=8)
    trained = {astuple(chart(0, number, "letter", dial))[4:6] for number in range(2000)}
    asked = {astuple(heldout(0, number, "letter", 8.0))[4:6] for number in range(2000)}
    assert len(trained) == len(asked) == 2000 and not trained & asked
    # Independent also where it shows the same: names at equal numbers agree by chance, one in ten.
    same = sum(
        chart(0, number, "letter", dial).name == heldout(0, number, "letter", 8.0).name
        for number in range(1000)
    )
    assert 60 <= same <= 140


def test_places_and_grounds_are_everywhere() -> None:
    charts = [heldout(0, number, "letter", 8.0) for number in range(400)]
    quarters = Counter((shown.x > 64, shown.y > 64) for shown in charts)
    assert all(60 <= count <= 140 for count in quarters.values()) and len(quarters) == 4
    assert {shown.ground.kind for shown in charts} == {"plain", "gradient", "noise", "checker"}


def test_a_dial_that_does_not_fit_is_refused() -> None:
    for dial in ({"smallest": 0.5}, {"largest": 200.0}, {"smallest": 9.0, "largest": 8.0}):
        with pytest.raises(DataError, match="smallest first"):
            ChartDial(**dial)
    with pytest.raises(DataError, match="pixels"):
        heldout(0, 0, "letter", 200.0)


def test_a_question_names_what_is_asked_for() -> None:
    letter, thing = chart(0, 0, "letter"), replace(chart(0, 0, "object"), colour="red")
    assert letter.question == "What letter is shown?" and letter.colour in ("black", "white")
    assert thing.question == "What shape is the red object?" and thing.name in scenes.SHAPES
