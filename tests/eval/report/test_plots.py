"""Plots: where things are drawn, and what is left out."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.eval.report.pages import Page

from sightline.eval.report.plots import Bar, Dot, Rect, bars, curve, scatter, tick, ticks

NAN = math.nan


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_even_and_hold_the_values(low: float, span: float) -> None:
    high = low + span
    assume(span > 1e-4 * abs(low))
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    step = found[1] - found[0]
    assert all(b - a == pytest.approx(step, rel=1e-6) for a, b in pairwise(found))
    assert found[0] <= low + 1e-6 * span and found[-1] >= high - 1e-6 * span
    assert found[0] > low - step * 1.001 and found[-1] < high + step * 1.001


def test_ticks_by_hand() -> None:
    assert ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert [tick(t) for t in ticks(0, 1.2)] == ["0", "0.25", "0.5", "0.75", "1", "1.25"]
    assert ticks(3, 3) == ticks(3, 4) and tick(-2.5) == "−2.5"
    assert [tick(v) for v in (185.65432, 0.0625, 12288, -0.0)] == ["185.65", "0.0625", "12288", "0"]


def test_bars_are_as_long_as_their_values() -> None:
    rows = [
        Bar("full", 50, 40, 60, "50.0"),
        Bar("", 25, NAN, NAN, "25.0", 1),
        Bar("lost", NAN, NAN, NAN, "–"),
    ]
    page = Page(bars(rows, "A title", top=100))
    rects = page.all("rect")
    assert [a["class"] for a in rects] == ["s0", "s1"]
    full, half = (float(str(a["width"])) for a in rects)
    assert full == pytest.approx(2 * half, abs=0.2)
    whiskers = [a for a in page.all("line") if a["class"] == "whisker"]
    assert len(whiskers) == 3
    left = float(str(rects[0]["x"]))
    ends = [(float(str(whiskers[0][n])) - left) / full for n in ("x1", "x2")]
    assert ends == pytest.approx([0.8, 1.2], abs=0.001)
    assert "nan" not in bars(rows, "A title") and "–" in page.text
    assert page.all("svg")[0]["aria-label"] == "A title"


def test_negative_values_go_to_the_left() -> None:
    [rect] = Page(bars([Bar("a", -3, NAN, NAN, "−3")], "t")).all("rect")
    zero = next(a for a in Page(bars([Bar("a", -3, NAN, NAN, "−3")], "t")).all("line")[-1:])
    assert float(str(rect["x"])) + float(str(rect["width"])) <= float(str(zero["x1"])) + 0.1


def test_a_curve_leaves_out_what_is_undefined() -> None:
    dots = [Dot("", 1, 10, 5, 20), Dot("", 2, NAN, NAN, NAN), Dot("", 4, 30, NAN, NAN)]
    page = Page(curve(dots, "t", "level", top=100))
    assert len(page.all("circle")) == 2 and "nan" not in curve(dots, "t", "level")
    assert len(str(page.all("polyline")[0]["points"]).split()) == 2
    assert len(str(page.all("polygon")[0]["points"]).split()) == 2
    assert "log scale" not in page.text
    wide = Page(curve([Dot("", 4, 1, 1, 1), Dot("", 16, 1, 1, 1), Dot("", 64, 1, 1, 1)], "t", "px"))
    xs = [float(str(a["cx"])) for a in wide.all("circle")]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2) and "log scale" in wide.text
    one = Page(curve([Dot("", 4, 1, NAN, NAN)], "t", "px"))
    assert len(one.all("circle")) == 1 and not one.all("polygon")


def test_labels_of_a_scatter_meet_no_other_and_no_interval() -> None:
    dots = [Dot(f"model {n}", x, 60 + n / 10, 58, 62) for n, x in enumerate((9, 9, 9, 12, 500))]
    drawn = scatter(dots, "t", "tokens")
    labels = re.findall(r'<text class="s\d" x="([\d.]+)" y="([\d.]+)"[^>]*>(model \d)', drawn)
    assert len(labels) == 5
    places = [
        Rect(float(x), float(y) - 13, float(x) + 7.2 * len(text), float(y) + 4)
        for x, y, text in labels
    ]
    assert not any(a.meets(b) for n, a in enumerate(places) for b in places[:n])
    page = Page(drawn)
    assert len({a["cx"] for a in page.all("circle")}) == 5
    intervals = [
        Rect(
            float(str(a["x1"])) - 1,
            float(str(a["y2"])),
            float(str(a["x1"])) + 1,
            float(str(a["y1"])),
        )
        for a in page.all("line")
        if a["class"] == "whisker" and a["x1"] == a["x2"]
    ]
    assert len(intervals) == 5 and all(one.y1 - one.y0 > 50 for one in intervals)
    assert not any(place.meets(one) for place in places for one in intervals)
