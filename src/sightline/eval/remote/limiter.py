"""When the next request may start."""

from __future__ import annotations

import threading
import time
from typing import Protocol

_CLOSE = 1e-9  # what rounding may leave missing in a bucket


class Clock(Protocol):
    """Time, which tests replace."""

    def now(self) -> float:
        """Seconds that only grow."""

    def wall(self) -> float:
        """Seconds since 1970."""

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        """Wait, at most until `stop` is set."""


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        stop.wait(seconds)


class Bucket:
    """A token bucket: it fills at `per_minute` and holds what comes in one second, at least 1.

    An amount that is larger than the bucket is taken from a full one and leaves a debt. Amounts
    taken in any span of t seconds sum to at most burst + rate · t, debts aside. Not thread-safe.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self.rate = per_minute / 60
        self.burst = max(1.0, self.rate)
        self.level, self._at = self.burst, now

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken."""
        self.level = min(self.burst, self.level + (now - self._at) * self.rate)
        self._at = now
        missing = min(amount, self.burst) - self.level
        return 0.0 if missing <= _CLOSE else missing / self.rate

    def take(self, amount: float) -> None:
        """Take it; less than nothing gives back."""
        self.level -= amount


class Limiter:
    """Lets requests of several threads start one after the other, no faster than two limits allow,
    and none while a server has asked for a pause."""

    def __init__(
        self, requests_per_minute: float | None, tokens_per_minute: float | None, clock: Clock
    ) -> None:
        now = clock.now()
        self._clock = clock
        self._requests = Bucket(requests_per_minute, now) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute, now) if tokens_per_minute else None
        self._held_until = now
        self._first, self._state = threading.Lock(), threading.Lock()

    def turn(self, tokens: float, stop: threading.Event) -> float:
        """Wait for the start of a request that takes about `tokens`; the seconds that it took.

        Returns at once when `stop` is set.
        """
        began = self._clock.now()
        with self._first:  # who came first waits, the others stand behind: nobody overtakes
            while not stop.is_set() and (wait_s := self._wait_or_take(tokens)) > 0:
                self._clock.sleep(wait_s, stop)
        return self._clock.now() - began

    def hold(self, seconds: float) -> None:
        """No request starts for so long."""
        with self._state:
            self._held_until = max(self._held_until, self._clock.now() + seconds)

    def correct(self, tokens: float) -> None:
        """A request took so many tokens more than it was let in for, or fewer."""
        with self._state:
            if self._tokens is not None:
                self._tokens.take(tokens)

    def _wait_or_take(self, tokens: float) -> float:
        """Seconds to wait; 0 once the request has been counted."""
        wanted = ((self._requests, 1.0), (self._tokens, tokens))
        with self._state:
            now = self._clock.now()
            waits = [bucket.wait_s(amount, now) for bucket, amount in wanted if bucket]
            wait_s = max([self._held_until - now, *waits])
            if wait_s > 0:
                return wait_s
            for bucket, amount in wanted:
                if bucket is not None:
                    bucket.take(amount)
        return 0.0
