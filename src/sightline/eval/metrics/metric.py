"""What a metric is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sightline.eval.item import Item
from sightline.eval.said import Said
from sightline.eval.statistics import Figure, Tally


class Metric(Protocol):
    """Judges the answers of a task: each alone, and all together.

    Both methods get items and answers in equal number and order, without those that failed. A
    truth of the wrong kind raises DataError naming the item's key.
    """

    @property
    def name(self) -> str:
        """For people: `ANLS`, `VQA accuracy`."""

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        """0..1 for each answer (CIDEr: its own scale)."""

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        """Figures of the set; the first is the one that the metric is known by."""


@runtime_checkable
class Dialled(Protocol):
    """A metric of items at several levels of a dial."""

    @property
    def axis(self) -> str:
        """What the dial is, with its unit."""

    @property
    def drawn(self) -> int:
        """Which of its figures is drawn over the levels, from 0."""

    def told(self, curve: Sequence[tuple[float, Figure]]) -> str:
        """What that figure at all levels, ascending, comes to: a sentence."""
