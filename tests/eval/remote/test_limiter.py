"""Requests start no faster than the limits allow, whatever comes and however many ask."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.remote.stub import FakeClock

from sightline.eval.remote.limiter import Limiter, SystemClock

NEVER = threading.Event()
gaps = st.floats(0, 30, allow_nan=False)
rates = st.floats(0.5, 6000, allow_nan=False)


def starts(limiter: Limiter, clock: FakeClock, waits: list[float], tokens: float) -> list[float]:
    found = []
    for gap in waits:
        clock.time += gap
        limiter.turn(tokens, NEVER)
        found.append(clock.time)
    return found


@given(rates, st.lists(gaps, min_size=1, max_size=40))
def test_no_span_of_time_has_more_requests_than_the_limit(per_minute, waits):
    clock = FakeClock()
    found = starts(Limiter(per_minute, None, clock), clock, waits, 0)
    burst, rate = max(1.0, per_minute / 60), per_minute / 60
    for i in range(len(found)):
        for j in range(i, len(found)):
            assert j - i + 1 <= burst + rate * (found[j] - found[i]) + 1e-6


@given(rates, st.integers(2, 30))
def test_nobody_waits_longer_than_needed(per_minute, count):
    """Asked without a pause, the last of n starts as soon as the limit lets it."""
    clock = FakeClock()
    found = starts(Limiter(per_minute, None, clock), clock, [0.0] * count, 0)
    burst, rate = max(1.0, per_minute / 60), per_minute / 60
    assert found[-1] == pytest.approx(max(0.0, count - burst) / rate, rel=1e-6, abs=1e-6)


@given(rates, st.lists(st.floats(0, 5000), min_size=1, max_size=30))
def test_tokens_are_limited_too_and_large_requests_leave_a_debt(per_minute, amounts):
    clock = FakeClock()
    limiter = Limiter(None, per_minute, clock)
    for amount in amounts:
        limiter.turn(amount, NEVER)
    burst, rate = max(1.0, per_minute / 60), per_minute / 60
    taken = sum(amounts) - max(0.0, amounts[-1] - burst)  # the debt of the last comes later
    assert taken <= burst + rate * clock.time + 1e-6 * (1 + taken)


def test_what_was_really_taken_counts():
    clock = FakeClock()
    limiter = Limiter(None, 600, clock)  # 10 a second
    assert limiter.turn(10, NEVER) == 0
    limiter.correct(40)
    assert limiter.turn(10, NEVER) == pytest.approx(5)
    limiter.correct(-10)
    assert limiter.turn(10, NEVER) == 0


def test_a_pause_holds_all_and_the_longer_one_counts():
    clock = FakeClock()
    limiter = Limiter(None, None, clock)
    limiter.hold(7)
    limiter.hold(3)
    assert limiter.turn(0, NEVER) == pytest.approx(7)
    assert limiter.turn(0, NEVER) == 0


def test_threads_share_one_bucket():
    clock = FakeClock()
    limiter = Limiter(60, None, clock)
    found: list[float] = []
    lock = threading.Lock()

    def ask() -> None:
        limiter.turn(0, NEVER)
        with lock:
            found.append(clock.time)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            pool.submit(ask)
    assert len(found) == 50
    # A thread may note its time after the next one has moved the clock, never before its turn.
    assert all(time >= number - 1e-6 for number, time in enumerate(sorted(found)))
    assert clock.time == pytest.approx(49)
    assert all(b >= a for a, b in pairwise(sorted(found)))


def test_a_stop_ends_every_wait():
    limiter, stop = Limiter(0.001, None, SystemClock()), threading.Event()
    limiter.turn(0, stop)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(limiter.turn, 0, stop) for _ in range(3)]
        stop.set()
        assert [future.result(timeout=10) < 10 for future in waiting] == [True] * 3


def test_the_clock_of_the_machine_goes_on():
    clock = SystemClock()
    before, wall = clock.now(), clock.wall()
    clock.sleep(0.001, threading.Event())
    assert clock.now() > before and wall > 1_600_000_000
