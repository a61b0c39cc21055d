"""Items and answers for the tests of metrics."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core.geometry import Box, Point
from sightline.eval.item import Answers, Boxes, Choice, Item, Truth
from sightline.eval.metrics.metric import Metric
from sightline.eval.said import Said
from sightline.eval.statistics import figure


def item(truth: Truth, key: str = "q", *, unit: str = "", kind: str = "question") -> Item:
    return Item(key, ("?",), truth, kind=kind, unit=unit)


def words(*texts: str, key: str = "q", unit: str = "", kind: str = "question") -> Item:
    return item(Answers(texts), key, unit=unit, kind=kind)


def options(*texts: str, index: int = 0, key: str = "q", unit: str = "") -> Item:
    return item(Choice(texts, index), key, unit=unit)


def boxes(*corners: tuple[float, float, float, float], key: str = "q") -> Item:
    return item(Boxes(tuple(Box(*each) for each in corners)), key)


def says(*texts: str) -> list[Said]:
    return [Said(text) for text in texts]


def shows(
    box: tuple[float, float, float, float] | None = None, point: tuple[float, float] | None = None
) -> Said:
    return Said("", (Box(*box),) if box else (), (Point(*point),) if point else ())


def score(metric: Metric, truth: Item, answer: str) -> float:
    """Of one answer."""
    return metric.scores([truth], says(answer))[0]


def figures(metric: Metric, items: Sequence[Item], said: Sequence[Said]) -> dict[str, float]:
    """The value of each figure by its name."""
    tallies = metric.tallies(items, said, metric.scores(items, said))
    return {tally.name: figure(tally, resamples=2).value for tally in tallies}
