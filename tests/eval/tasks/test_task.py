"""Which questions are drawn where not all are asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import DataError
from sightline.eval.item import Answers, Item
from sightline.eval.tasks.task import drawn


def items(sizes: Sequence[int]) -> list[Item]:
    """Units of these sizes."""
    return [
        Item(f"{unit}/{number}", ("What?",), Answers(("x",)), unit=str(unit) if size > 1 else "")
        for unit, size in enumerate(sizes)
        for number in range(size)
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(1, 8), st.integers(0, 9))
def test_units_are_drawn_whole_and_never_none(sizes: list[int], count: int, seed: int) -> None:
    every = items(sizes)
    if count > len(every) or min(sizes) > count:
        with pytest.raises(DataError):
            drawn(every, count, seed, "file")
        return
    found = drawn(every, count, seed, "file")
    assert found == [item for item in every if item in found]
    for unit in {item.unit for item in found} - {""}:
        assert sum(i.unit == unit for i in found) == sum(i.unit == unit for i in every)
    assert count - max(sizes) < len(found) <= count and found


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_count_below_every_unit_is_refused(count: int) -> None:
    wanted = rf"file: has no unit of {count} or fewer questions.*raise --count to 3"
    with pytest.raises(DataError, match=wanted):
        drawn(items([4, 3]), count, 0, "file")


class Keyed(str):
    """A key that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Keyed.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_repeated_key_is_found_in_one_pass() -> None:
    keys = [Keyed(n) for n in range(500)]
    every = [Item(key, ("What?",), Answers(("x",))) for key in (*keys, Keyed(499))]
    with pytest.raises(DataError, match="499: is the key of two questions"):
        drawn(every, None, 0, "file")
    assert Keyed.compared < 2000
