"""What asking a remote model took."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sightline.eval.result import Prices


@dataclass(frozen=True, slots=True)
class RemoteCounts:
    """Everything that happened, in numbers.

    Attributes:
        requests: sent, further attempts among them.
        answers: that came with text.
        retries, failures: by reason, such as `rate limit` or `server error 503`.
        input_tokens, output_tokens: as the server counted them.
        without_usage: answers of which the server did not say how many tokens they took.
        pictures: sent, frames of clips among them; resized: those that were over `max_side`.
        limited_s: seconds of all threads together, waited for limits, ours and the server's.
    """

    requests: int = 0
    answers: int = 0
    retries: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    without_usage: int = 0
    pictures: int = 0
    resized: int = 0
    limited_s: float = 0.0

    def since(self, before: RemoteCounts) -> RemoteCounts:
        """What happened after `before`."""
        return RemoteCounts(
            **{
                field.name: _less(getattr(self, field.name), getattr(before, field.name))
                for field in fields(self)
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def _less(now: Any, before: Any) -> Any:
    """now - before, for numbers and for counts by reason."""
    if not isinstance(now, Mapping):
        return now - before
    return {reason: n for reason in now if (n := now[reason] - before.get(reason, 0))}


def cost(counts: RemoteCounts, prices: Prices) -> float:
    """What the counted tokens cost, in the currency of the prices: a lower bound, as a server may
    charge for attempts that brought no answer, and `without_usage` answers are not in it."""
    return (counts.input_tokens * prices.input + counts.output_tokens * prices.output) / 1e6


class Ledger:
    """Counts that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._limited_s = 0.0

    def add(self, **numbers: int) -> None:
        """Add to fields of RemoteCounts that are whole numbers."""
        with self._lock:
            self._numbers.update(numbers)

    def retried(self, reason: str) -> None:
        with self._lock:
            self._retries[reason] += 1

    def failed(self, reason: str) -> None:
        with self._lock:
            self._failures[reason] += 1

    def limited(self, seconds: float) -> None:
        with self._lock:
            self._limited_s += seconds

    def counts(self) -> RemoteCounts:
        """As they are now, reasons in alphabetical order."""
        with self._lock:
            return RemoteCounts(
                **self._numbers,
                retries=dict(sorted(self._retries.items())),
                failures=dict(sorted(self._failures.items())),
                limited_s=self._limited_s,
            )
