"""What metrics share: truths of the right kind, clusters, and items that are judged together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.eval.item import Answers, Boxes, Choice, Item
from sightline.eval.statistics import Tally, share_tally


def answers_of(item: Item) -> tuple[str, ...]:
    """The words that are right. Raises DataError for a truth of another kind, and for no words."""
    if not isinstance(item.truth, Answers):
        raise _wrong(item, "words", "Answers")
    if not item.truth.texts:
        raise DataError(item.key, "has no answer", "give at least one")
    return item.truth.texts


def choice_of(item: Item) -> Choice:
    """The options. Raises DataError for a truth of another kind, for a right option that is not
    there, and for more options than letters."""
    if not isinstance(item.truth, Choice):
        raise _wrong(item, "one of several options", "Choice")
    count = len(item.truth.options)
    if not 0 <= item.truth.index < count <= len(item.truth.letters):
        problem = f"has option {item.truth.index} of {count}, {len(item.truth.letters)} letters"
        raise DataError(item.key, problem, "give a letter to each option, and one of them as right")
    return item.truth


def boxes_of(item: Item) -> tuple[Box, ...]:
    """The places. Raises DataError for a truth of another kind, and for no place."""
    if not isinstance(item.truth, Boxes):
        raise _wrong(item, "places", "Boxes")
    if not item.truth.boxes:
        raise DataError(item.key, "has no box", "give at least one")
    return item.truth.boxes


def clusters_of(items: Sequence[Item]) -> list[str]:
    """The cluster of each item; without one it is its unit, or the item alone."""
    return [item.cluster or item.unit or item.key for item in items]


def units_of(items: Sequence[Item]) -> list[list[int]]:
    """Numbers of the items that are judged together, in order of first appearance."""
    found: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        found.setdefault(item.unit or item.key, []).append(number)
    return list(found.values())


def all_right(name: str, items: Sequence[Item], scores: Sequence[float]) -> Tally:
    """The share of units with every item right. A unit is of the cluster of its first item."""
    units = units_of(items)
    right = [float(all(scores[number] == 1 for number in unit)) for unit in units]
    clusters = clusters_of(items)
    return share_tally(name, right, [1.0] * len(units), [clusters[unit[0]] for unit in units])


def neither(tally: Tally) -> Tally:
    """A figure that is neither good nor bad (a yes-share, answers that could not be read)."""
    return replace(tally, higher_is_better=None)


def lower_is_better(tally: Tally) -> Tally:
    return replace(tally, higher_is_better=False)


def _wrong(item: Item, wanted: str, kind: str) -> DataError:
    problem = f"has {type(item.truth).__name__} for a truth, the metric needs {wanted}"
    return DataError(item.key, problem, f"give {kind}, or use another metric")
