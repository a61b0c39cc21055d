"""What servers say about when to come back."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.eval.remote.pause import FIRST_S, LONGEST_S, asked_pause, backoff_s
from sightline.eval.remote.verdict import Reply

NOW = 1_700_000_000.0


def pause(**headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asked_pause(Reply(429, named, b""), NOW)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7),
        ({"retry_after": "1.5"}, 1.5),
        ({"Retry_After": formatdate(NOW + 90, usegmt=True)}, 90),
        ({"Retry_After": formatdate(NOW - 90, usegmt=True)}, 0),
        ({"Retry_After": "-3"}, 0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "inf"}, None),
        ({"Retry_After": "Wed, 99 Nov 2023 99:00:00 GMT"}, None),
        ({"retry_after_ms": "250", "Retry_After": "1"}, 0.25),
        ({"X_RateLimit_Reset": "12"}, 12),
        ({"X_RateLimit_Reset": str(NOW + 30)}, 30),
        ({"X_RateLimit_Reset": str(int((NOW + 30) * 1000))}, 30),
        ({"x_ratelimit_reset_requests": "6m0s"}, 360),
        ({"x_ratelimit_reset_requests": "20ms"}, 0.02),
        ({"x_ratelimit_reset_tokens": "1h2m3.5s"}, 3723.5),
        ({"x_ratelimit_reset_tokens": "1d1s", "x_ratelimit_reset_requests": "2s"}, 86401),
        ({"x_ratelimit_reset_tokens": "59"}, 59),
        ({"x_ratelimit_reset_tokens": "x"}, None),
        ({"x_ratelimit_reset_tokens": "6m0s", "x_ratelimit_remaining_tokens": "12"}, None),
    ],
)
def test_the_server_says(headers, seconds):
    assert pause(**headers) == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


def test_of_two_limits_the_one_that_is_used_up_counts():
    headers = {
        "x_ratelimit_reset_requests": "1s",
        "x_ratelimit_remaining_requests": "0",
        "x_ratelimit_reset_tokens": "6m0s",
        "x_ratelimit_remaining_tokens": "149000",
    }
    assert pause(**headers) == 1


@given(st.text(max_size=30))
def test_no_header_is_too_strange(text):
    for name in ("retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-tokens"):
        found = asked_pause(Reply(429, {name: text}, b""), NOW)
        assert found is None or 0 <= found < float("inf")


@given(st.integers(0, 500), st.text(max_size=5))
def test_backoff_doubles_up_to_a_limit_and_is_repeatable(attempt, seed):
    found = backoff_s(attempt, seed)
    whole = min(LONGEST_S, FIRST_S * 2.0**attempt)
    assert whole / 2 <= found <= whole
    assert found == backoff_s(attempt, seed)


def test_questions_do_not_come_back_together():
    assert len({backoff_s(0, str(number)) for number in range(100)}) == 100
