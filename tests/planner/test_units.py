"""Sizes in and out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import PlanError
from sightline.planner.units import (
    parse_bytes,
    parse_size,
    show_bytes,
    show_count,
    show_seconds,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GB", 24 * 10**9),
        ("24 gb", 24 * 10**9),
        ("24G", 24 * 10**9),
        ("22.5GiB", int(22.5 * 2**30)),
        ("40,000 MiB", 40_000 * 2**20),
        ("512kB", 512_000),
        ("2TB", 2 * 10**12),
        ("1000", 1000),
        ("7B", 7),
    ],
)
def test_bytes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "24 gigs", "-1GB", "1e9", "0", "0.1", "nan", "24GBB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(PlanError) as error:
        parse_bytes(text, "fit")
    assert error.value.field == "fit"


def test_picture_sizes_are_read():
    assert (
        parse_size("1344x896") == parse_size(" 1344×896 ") == parse_size("1344X896") == (1344, 896)
    )


@pytest.mark.parametrize("text", ["", "1344", "0x5", "5x", "x5", "1x2x3", "-1x5", "1.5x2", "²x5"])
def test_what_is_no_picture_size_is_refused(text):
    with pytest.raises(PlanError):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_999, "1.00 MB"),
        (301_989_888, "302 MB"),
        (14.13e9, "14.1 GB"),
        (99.96e9, "100 GB"),
    ],
)
def test_bytes_are_shown(size, text):
    assert show_bytes(size) == text


def test_counts_and_times_are_shown():
    assert [show_count(n) for n in (576, 20_979_712, 13.38e9)] == ["576", "21.0 M", "13.4 B"]
    times = (0.00041, 0.0299, 1.5, 100, 7200, 3e5)
    assert [show_seconds(t) for t in times] == [
        "410 µs",
        "29.9 ms",
        "1.50 s",
        "1.67 min",
        "2.00 h",
        "3.47 days",
    ]


@given(st.integers(1, 10**15))
def test_shown_bytes_are_read_back_within_half_a_percent(size):
    assert parse_bytes(show_bytes(size)) == pytest.approx(size, rel=0.0051)
