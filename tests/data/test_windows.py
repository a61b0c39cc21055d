"""Windows dealt into micro-batches: every row once, budgets kept, little left empty."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.core.errors import DataError
from sightline.data.windows import deal, refusal, visual, window_rows
from sightline.model.prepare import Measured
from sightline.spec.train import PackSpec, PadSpec

BAD = DataError("x:1", "is broken", "mend it")
BUDGET = 1000


def size(tokens: int, visual: int = 0, memory: int = 0) -> Measured:
    return Measured(tokens, visual, memory, 1)


@st.composite
def rows(draw: st.DrawFn) -> Measured:
    tokens = draw(st.integers(1, BUDGET))
    return size(tokens, draw(st.integers(0, min(tokens, 300))), draw(st.integers(0, 100)))


ROWS = st.lists(st.one_of(rows(), st.just(BAD)), max_size=60)
PACKS = st.sampled_from(
    [PackSpec(tokens=BUDGET), PackSpec(tokens=BUDGET, visual_tokens=400), PackSpec(tokens=2500)]
)


def good(sizes: list[Measured | DataError]) -> list[int]:
    return [i for i, one in enumerate(sizes) if isinstance(one, Measured)]


def totals(sizes: list[Measured | DataError], pack: list[int]) -> tuple[int, int]:
    ones = [one for i in pack if isinstance(one := sizes[i], Measured)]
    return sum(one.tokens for one in ones), sum(visual(one) for one in ones)


@given(ROWS, PACKS, st.integers(0, 9))
@settings(max_examples=200)
def test_every_row_is_packed_once_within_both_budgets(
    sizes: list[Measured | DataError], batch: PackSpec, seed: int
) -> None:
    packs = deal(batch, sizes, seed)
    assert sorted(row for pack in packs for row in pack) == good(sizes)
    most = batch.visual_tokens or 10**9
    loads = [totals(sizes, pack) for pack in packs]
    assert all(tokens <= batch.tokens and seen <= most for tokens, seen in loads)
    for (a, x), (b, y) in combinations(loads, 2):
        assert a + b > batch.tokens or x + y > most, "two packs would have been one"
    if len(loads) > 1 and batch.visual_tokens is None:
        assert sum(tokens for tokens, _ in loads) / len(loads) > batch.tokens / 2
    assert packs == deal(batch, sizes, seed)


@given(st.lists(st.integers(20, 250), min_size=128, max_size=256))
@settings(max_examples=60)
def test_rows_that_are_small_fill_their_packs(tokens: list[int]) -> None:
    """All packs but the emptiest hold at least 95 % on average: rows up to a quarter of a pack."""
    packs = deal(PackSpec(tokens=BUDGET), [size(one) for one in tokens])
    loads = sorted(sum(tokens[i] for i in pack) for pack in packs)[1:]
    assert sum(loads) / len(loads) > 0.95 * BUDGET


def test_best_fit_by_hand() -> None:
    """700 opens a pack and 600 another; 300 closes the first, 290 and 100 fit the second."""
    sizes = [size(100), size(600), size(300), size(290), size(700)]
    assert deal(PackSpec(tokens=BUDGET), sizes) == [[0, 1, 3], [2, 4]]
    seen = [size(100, 90), size(600, 20), size(300, 90), size(290, 0, 30), size(700, 10)]
    both = PackSpec(tokens=BUDGET, visual_tokens=100)
    assert deal(both, seen) == [[0], [1, 3], [2, 4]]


@given(ROWS, st.integers(1, 9), st.integers(1, 6), st.integers(0, 9))
@settings(max_examples=200)
def test_neighbours_in_length_are_padded_together(
    sizes: list[Measured | DataError], number: int, bucket: int, seed: int
) -> None:
    batch = PadSpec(rows=number, bucket=bucket)
    assert window_rows(batch) == number * bucket
    dealt = deal(batch, sizes, seed)
    assert sorted(row for one in dealt for row in one) == good(sizes)
    assert sorted(len(one) for one in dealt)[1:] == [number] * (len(dealt) - 1)
    spans = sorted(
        (min(lengths), max(lengths))
        for one in dealt
        if (lengths := [sizes[i].tokens for i in one])  # type: ignore[union-attr]
    )
    assert all(low[1] <= high[0] for low, high in pairwise(spans))


def test_the_order_is_seeded_and_without_a_seed_that_of_the_rows() -> None:
    sizes = [size(BUDGET - i) for i in range(40)]
    plain = deal(PackSpec(tokens=BUDGET), sizes)
    assert plain == [[i] for i in range(40)]
    orders = [deal(PackSpec(tokens=BUDGET), sizes, seed) for seed in range(3)]
    assert all(sorted(one) == plain for one in orders)
    assert len({str(one) for one in [plain, *orders]}) == 4


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (size(1001), "takes 1001 tokens, a micro-batch holds 1000"),
        (size(900, 300, 150), "takes 450 visual tokens, a micro-batch holds 400"),
        (size(1000, 200, 200), None),
    ],
)
def test_a_row_larger_than_a_pack_is_refused(row: Measured, problem: str | None) -> None:
    assert refusal(PackSpec(tokens=BUDGET, visual_tokens=400), row) == problem
    assert refusal(PadSpec(), row) is None


def test_nothing_is_dealt_from_nothing() -> None:
    assert deal(PackSpec(tokens=BUDGET), [BAD], 1) == []
    assert deal(PadSpec(), []) == []
