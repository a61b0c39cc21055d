"""Mixtures: shares that hold, passes that are permutations, positions that are all there is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.core.errors import DataError
from sightline.data.blocks import Blocks
from sightline.data.mix import Drawing, Entry, Item, Mixture, Row, open_mixture, permutation
from sightline.data.sample import Sample, Text, Turn
from sightline.data.turns import FINE, Turns, floor_sum
from sightline.spec.train import MixtureSpec, ScenesSpec


@dataclass(frozen=True)
class Numbers:
    """Rows 0..num_rows-1 by number, or all numbers."""

    name: str
    num_rows: int | None

    def sample(self, index: int) -> Sample:
        return numbered(self.name, index)


@dataclass(frozen=True)
class River:
    """Rows that come one after the other. bad: those that cannot be read."""

    name: str
    length: int
    bad: tuple[int, ...] = ()

    def samples(self, start: int) -> Iterator[Sample | DataError]:
        for index in range(start, self.length):
            where = f"{self.name}:{index}"
            bad = index in self.bad
            yield DataError(where, "is broken", "mend it") if bad else numbered(self.name, index)


def numbered(name: str, index: int) -> Sample:
    turns = (Turn("user", (Text(f"{index}?"),)), Turn("assistant", (Text(str(index)),)))
    return Sample(f"{name}:{index}", turns)


def drawing(mixture: Mixture, state: dict[str, object] | None = None) -> Drawing:
    sources = [entry.source for entry in mixture.entries]
    return Drawing.at(mixture, Blocks(sources, 0).read, state or {})


def ids(mixture: Mixture, items: list[Item]) -> list[str]:
    return [
        f"{mixture.entries[item.source].source.name}:{item.index}"
        if isinstance(item, Row)
        else (item.field if isinstance(item, DataError) else item.id)
        for item in items
    ]


def drawn(mixture: Mixture, count: int) -> list[str]:
    return ids(mixture, drawing(mixture).take(count))


@given(st.integers(0, 40), st.integers(1, 30), st.integers(0, 50), st.integers(0, 50))
@settings(max_examples=300)
def test_floor_sum_is_the_sum(count: int, modulus: int, step: int, start: int) -> None:
    assert floor_sum(count, modulus, step, start) == sum(
        (step * i + start) // modulus for i in range(count)
    )


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 10**6))
@settings(max_examples=60)
def test_a_period_takes_each_source_its_share(shares: list[int], start: int) -> None:
    turns = Turns(tuple(shares), start)
    found = [turns.of(draw) for draw in range(2 * sum(shares))]
    for source, share in enumerate(shares):
        assert [n for k, n in found if k == source] == list(range(2 * share))


WEIGHTS = st.lists(st.floats(0.01, 10), min_size=1, max_size=6)


@given(WEIGHTS, st.integers(0, 10**6))
@settings(max_examples=40)
def test_shares_hold_at_every_draw(weights: list[float], start: int) -> None:
    """Within 4 draws, from the first to the 1,500th; the counter is that of the draws before."""
    turns, whole = Turns.weighted(weights, start), sum(weights)
    seen = [0] * len(weights)
    for draw in range(1500):
        source, number = turns.of(draw)
        assert number == seen[source]
        seen[source] += 1
        for count, weight in zip(seen, weights, strict=True):
            assert abs(count - (draw + 1) * weight / whole) < 4
    assert turns.of(10**12)[1] == pytest.approx(
        10**12 * turns.shares[turns.of(10**12)[0]] / turns.period, abs=50
    )


def test_weights_are_kept_to_one_part_in_16_million() -> None:
    assert Turns.weighted([1, 2, 1]).shares == (FINE // 4, FINE // 2, FINE // 4)
    assert Turns.weighted([1e-12, 1]).shares[0] == 1


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_pass_over_a_source_is_a_permutation(shuffle: bool) -> None:
    mixture = Mixture((Entry(Numbers("a", 37)),), seed=3, shuffle=shuffle)
    rows = drawn(mixture, 4 * 37)
    passes = [rows[at : at + 37] for at in range(0, len(rows), 37)]
    plain = [f"a:{i}" for i in range(37)]
    assert all(sorted(one) == sorted(plain) for one in passes)
    assert [one == plain for one in passes] == [not shuffle] * 4
    assert len({tuple(one) for one in passes}) == (4 if shuffle else 1)


def test_seeds_and_sources_are_shuffled_apart() -> None:
    orders = {
        tuple(r.split(":")[1] for r in drawn(Mixture((Entry(Numbers("a", 50)),), seed=seed), 50))
        for seed in range(5)
    }
    assert len(orders) == 5
    two = Mixture((Entry(Numbers("a", 50)), Entry(Numbers("b", 50))))
    rows = drawn(two, 100)
    a, b = ([r[2:] for r in rows if r[0] == name] for name in "ab")
    assert a != b and sorted(a) == sorted(b)


def test_permutations_are_even() -> None:
    """Every order of four rows about as often as the others: 24 of them, 4,800 draws."""
    found = Counter(tuple(permutation(4, seed, 0, 0)) for seed in range(4800))
    assert len(found) == 24 and all(130 < count < 275 for count in found.values())


@pytest.mark.parametrize("shuffle", [True, False])
def test_without_weights_one_pass_shows_each_row_as_often_as_it_repeats(shuffle: bool) -> None:
    entries = (
        Entry(Numbers("a", 30)),
        Entry(Numbers("b", 7), repeat=2),
        Entry(Numbers("c", 10), repeat=0.5),
    )
    mixture = Mixture(entries, shuffle=shuffle)
    assert mixture.num_rows == 30 + 14 + 5
    rows = drawn(mixture, 2 * 49)
    first, both = Counter(rows[:49]), Counter(rows)
    assert [first[f"a:{i}"] for i in range(30)] == [1] * 30
    assert [first[f"b:{i}"] for i in range(7)] == [2] * 7
    assert sum(first[f"c:{i}"] for i in range(10)) == 5
    assert [both[f"c:{i}"] for i in range(10)] == [1] * 10


def test_sources_take_turns_all_along() -> None:
    """No source is read up before another begins."""
    rows = drawn(Mixture((Entry(Numbers("a", 90)), Entry(Numbers("b", 30)))), 120)
    for at in range(0, 120, 20):
        assert 3 <= sum(row[0] == "b" for row in rows[at : at + 20]) <= 7


def test_a_world_alone_is_read_in_its_own_order() -> None:
    """Step s of a run begins with row s · batch."""
    mixture = open_mixture(ScenesSpec(), Path())
    assert mixture.num_rows is None
    assert drawing(mixture).take(50) == [Row(0, index) for index in range(50)]
    assert drawing(mixture, {"draw": 32}).take(3) == [Row(0, 32), Row(0, 33), Row(0, 34)]


def test_a_mixture_of_worlds_goes_by_weights() -> None:
    sources = (ScenesSpec(weight=3), ScenesSpec(seed=1, weight=1))
    mixture = open_mixture(MixtureSpec(sources=sources), Path())
    items = drawing(mixture).take(400)
    assert sum(isinstance(item, Row) and item.source == 0 for item in items) in range(297, 304)


@pytest.mark.parametrize("length", [1, 9, 10, 11, 25, 30])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_stream_is_shuffled_in_blocks_and_begins_again(length: int, shuffle: bool) -> None:
    mixture = Mixture((Entry(River("s", length), block_rows=10),), shuffle=shuffle)
    rows = drawn(mixture, 3 * length)
    plain = [f"s:{i}" for i in range(length)]
    for turn in range(3):
        one = rows[turn * length : (turn + 1) * length]
        assert sorted(one) == sorted(plain)
        assert shuffle or one == plain
        for at in range(0, length, 10):
            assert sorted(one[at : at + 10]) == sorted(plain[at : at + 10])
    assert not shuffle or length < 9 or len({tuple(rows[:length]), tuple(rows[length:])}) == 2


def mixed() -> Mixture:
    """Rows by number, a world and two streams, one with rows that cannot be read."""
    return Mixture(
        (
            Entry(Numbers("a", 13), weight=1),
            Entry(Numbers("w", None), weight=0.5),
            Entry(River("s", 23), weight=1.5, block_rows=5),
            Entry(River("t", 7, bad=(2, 6)), weight=0.7, block_rows=10),
        ),
        seed=5,
    )


def test_any_position_goes_on_as_it_would_have() -> None:
    whole = drawn(mixed(), 220)
    assert len({row[0] for row in whole}) == 4 and "t:2" in whole
    walk = drawing(mixed())
    for at in range(0, 200, 3):
        state = json.loads(json.dumps(walk.state))
        assert state["draw"] == at
        assert ids(mixed(), drawing(mixed(), state).take(20)) == whole[at : at + 20]
        walk.take(3)


def test_streams_are_read_once_from_front_to_back() -> None:
    """A block costs no seek where the reading goes on."""
    asked: list[int] = []

    class Watched(River):
        def samples(self, start: int) -> Iterator[Sample | DataError]:
            asked.append(start)
            return super().samples(start)

    mixture = Mixture((Entry(Watched("s", 40), block_rows=8),))
    drawing(mixture).take(100)
    assert asked == [0, 0, 0]
    drawing(mixture, {"draw": 21, "streams": {"0": [0, 0]}}).take(1)
    assert asked[3:] == [16]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ((Entry(Numbers("a", 0)),), "a: has no rows"),
        ((Entry(Numbers("a", 3), weight=1.0), Entry(Numbers("b", 3))), "b: has no weight"),
        ((Entry(Numbers("a", 3)), Entry(Numbers("b", None))), "b: has no known number of rows"),
        ((Entry(Numbers("a", 3)), Entry(River("s", 9))), "s: has no known number of rows"),
    ],
)
def test_mixtures_that_say_too_little_are_refused(entries: tuple[Entry, ...], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        Mixture(entries)


def test_a_stream_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="s: has no rows"):
        drawing(Mixture((Entry(River("s", 0)),))).take(1)
