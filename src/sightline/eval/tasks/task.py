"""What a task is: questions with their truth, and the metric that judges answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.words import normalised as normalised


class Task(Protocol):
    """Items, how long an answer may be, and how answers are judged."""

    @property
    def name(self) -> str: ...
    @property
    def metric(self) -> Metric: ...
    @property
    def max_tokens(self) -> int: ...
    def items(self, count: int | None = None) -> Sequence[Item]:
        """`count` of them, or all. Raises DataError naming file and row."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A published benchmark as a declaration; `open` makes a task of its files.

    Attributes:
        name: as the command line calls it.
        title: as its authors call it.
        read: all items of a folder or file, in its order. Raises DataError naming file and row.
        metric: the official one.
        max_tokens: of an answer.
        source: where field names, prompt and metric were read, and where ours differs.
    """

    name: str
    title: str
    read: Callable[[Path], Iterator[Item]]
    metric: Metric
    max_tokens: int
    source: str

    def open(self, path: Path, seed: int = 0) -> BenchmarkTask:
        return BenchmarkTask(self, path, seed)


@dataclass(frozen=True, slots=True)
class BenchmarkTask:
    """A benchmark over local files. seed: which units are drawn where not all are asked."""

    benchmark: Benchmark
    path: Path
    seed: int = 0

    @property
    def name(self) -> str:
        return self.benchmark.name

    @property
    def metric(self) -> Metric:
        return self.benchmark.metric

    @property
    def max_tokens(self) -> int:
        return self.benchmark.max_tokens

    def items(self, count: int | None = None) -> Sequence[Item]:
        """All items, or those of as many whole units as hold `count`. Raises DataError."""
        return drawn(list(self.benchmark.read(self.path)), count, self.seed, str(self.path))


def drawn(items: Sequence[Item], count: int | None, seed: int, name: str) -> Sequence[Item]:
    """`count` items in their order; a unit (items judged together) comes whole or not at all, so
    that up to its size less one may be missing.

    Raises DataError for more than there are, for no items, for fewer than the smallest unit has,
    and for keys that are not unique.
    """
    if twice := [key for key, times in Counter(item.key for item in items).items() if times > 1]:
        raise DataError(twice[0], "is the key of two questions", "give each its own")
    if not items or (count is not None and count > len(items)):
        problem = f"has {len(items)} questions, {count or 'some'} were asked for"
        raise DataError(name, problem, "lower --count" if items else "check the path")
    if count is None or count == len(items):
        return items
    units: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        units.setdefault(item.unit or item.key, []).append(number)
    order = list(units.values())
    random.Random(seed).shuffle(order)
    chosen: list[int] = []
    for unit in order:
        if len(chosen) + len(unit) <= count:
            chosen += unit
    if not chosen:
        problem = f"has no unit of {count} or fewer questions, and a unit is judged as a whole"
        raise DataError(name, problem, f"raise --count to {min(map(len, order))}")
    return [items[number] for number in sorted(chosen)]
