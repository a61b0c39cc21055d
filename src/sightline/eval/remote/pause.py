"""How long to wait before another attempt."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

FIRST_S, LONGEST_S = 0.5, 60.0
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_UNITS_S = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_EPOCH_S, _EPOCH_MS = 1e9, 1e12  # numbers from here on are dates: seconds, milliseconds of 1970


class _HasHeaders(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


def backoff_s(attempt: int, seed: str) -> float:
    """Seconds before attempt `attempt` + 1, from 0: doubled each time, at most LONGEST_S, times a
    factor of 0.5 to 1 that `seed` decides, so that threads do not come back together."""
    whole = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt, 30))
    return whole * random.Random(f"{seed}/{attempt}").uniform(0.5, 1.0)


def asked_pause(reply: _HasHeaders, wall_s: float) -> float | None:
    """Seconds that the server asks for, from `wall_s` (since 1970); None if it does not say.

    In this order: `retry-after-ms`; `retry-after` in seconds or as an HTTP date;
    `x-ratelimit-reset` in seconds or as a time since 1970; the longest of
    `x-ratelimit-reset-requests` and `-tokens` (`6m0s`, `20ms`) of which nothing remains: OpenAI
    counts in them until all is free again, which is too long a wait for what is not used up.
    """
    headers = {name.lower(): value.strip() for name, value in reply.headers.items()}
    ways = (
        _scaled(_number(headers.get("retry-after-ms")), 0.001),
        _after(headers.get("retry-after"), wall_s),
        _reset(headers.get("x-ratelimit-reset"), wall_s),
        _used_up(headers),
    )
    return next((max(0.0, seconds) for seconds in ways if seconds is not None), None)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _after(text: str | None, wall_s: float) -> float | None:
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        return parsedate_to_datetime(text).timestamp() - wall_s if text else None
    except (ValueError, OverflowError):
        return None


def _reset(text: str | None, wall_s: float) -> float | None:
    value = _number(text)
    if value is None:
        return _span(text)
    if value >= _EPOCH_MS:
        return value / 1000 - wall_s
    return value - wall_s if value >= _EPOCH_S else value


def _used_up(headers: Mapping[str, str]) -> float | None:
    """Of the limits of which nothing remains, the longest."""
    spans = [
        _reset(headers.get(f"x-ratelimit-reset-{kind}"), 0.0)
        for kind in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{kind}", "0") == "0"
    ]
    return max((seconds for seconds in spans if seconds is not None), default=None)


def _span(text: str | None) -> float | None:
    """`1h2m3.5s` -> 3723.5."""
    found = _SPAN.fullmatch(text) if text else None
    if found is None or not any(found.groups()):
        return None
    return sum(
        float(value) * unit for value, unit in zip(found.groups(), _UNITS_S, strict=True) if value
    )
