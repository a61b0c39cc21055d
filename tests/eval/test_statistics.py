"""Intervals that cover, tests that reject as often as they say, and the majority answer."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sightline.core.errors import DataError
from sightline.eval.statistics import (
    Array,
    Tally,
    figure,
    majority,
    mcnemar,
    mean_interval,
    mean_tally,
    paired,
    share_tally,
)

SCORES = st.lists(st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]), min_size=2, max_size=40)


def alone(count: int) -> tuple[str, ...]:
    """Each unit a cluster."""
    return tuple(map(str, range(count)))


def clustered(rng: np.random.Generator, clusters: int = 40) -> tuple[list[float], list[str]]:
    """1 to 11 questions about each picture; how many are answered depends on the picture: 2/3 in
    the mean (Beta(2, 1))."""
    sizes = rng.integers(1, 12, clusters)
    scores = [rng.binomial(1, p, n) for p, n in zip(rng.beta(2, 1, clusters), sizes, strict=True)]
    names = [str(c) for c, n in enumerate(sizes) for _ in range(n)]
    return np.concatenate(scores).astype(float).tolist(), names


# Intervals


def test_intervals_over_clusters_cover_and_those_over_items_do_not() -> None:
    """Of 300 sets 95 % ± 3.5 % (2.8 standard errors); over items alone about 78 %."""
    covered = naive = 0
    for trial in range(300):
        scores, names = clustered(np.random.default_rng(trial), clusters=60)
        mean, low, high = mean_interval(scores, names, seed=trial)
        assert mean == pytest.approx(np.mean(scores)) and low <= mean <= high
        covered += low <= 2 / 3 <= high
        _, low, high = mean_interval(scores, seed=trial)
        naive += low <= 2 / 3 <= high
    assert 0.915 <= covered / 300 <= 0.985
    assert naive / 300 < 0.85


@pytest.mark.parametrize("noise", [0.0, 1e-9], ids=["few types", "many"])
def test_a_share_is_resampled_by_the_binomial_law(noise: float) -> None:
    """Its bounds are quantiles of the binomial, ± one answer for 20,000 resamples."""
    rng = np.random.default_rng(3)
    right = (np.arange(500) < 380) + noise * rng.random(500)
    found = figure(mean_tally("m", right, alone(500)), resamples=20_000)
    low, high = stats.binom.ppf([0.025, 0.975], 500, 380 / 500) / 500
    assert (found.low, found.high) == pytest.approx((low, high), abs=1.01 / 500)
    assert (found.value, found.count, found.clusters) == (pytest.approx(0.76), 500, 500)


@pytest.mark.parametrize("decimals", [1, 9], ids=["few types", "many"])
def test_a_ratio_of_sums_has_the_interval_of_scipy(decimals: int) -> None:
    """`scipy.stats.bootstrap`, percentile, within 3 % of the width for 20,000 resamples each."""
    rng = np.random.default_rng(5)
    parts = rng.random(300).round(decimals)
    wholes = parts + rng.integers(1, 3, 300)
    theirs = stats.bootstrap(
        (parts, wholes),
        lambda a, b, axis=-1: a.sum(axis) / b.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        batch=1000,
        rng=rng,
    ).confidence_interval
    ours = figure(share_tally("r", parts, wholes, alone(300)), resamples=20_000)
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)


def test_items_of_one_cluster_count_as_one_draw() -> None:
    """Equal to the figure of the sums of each cluster."""
    scores, names = clustered(np.random.default_rng(1))
    by_cluster = {name: (0.0, 0.0) for name in names}
    for score, name in zip(scores, names, strict=True):
        right, all_ = by_cluster[name]
        by_cluster[name] = right + score, all_ + 1
    parts, wholes = zip(*by_cluster.values(), strict=True)
    one = figure(mean_tally("m", scores, names))
    other = figure(share_tally("m", parts, wholes, tuple(by_cluster)))
    assert (one.value, one.low, one.high) == (other.value, other.low, other.high)
    assert (one.count, other.count) == (len(scores), 40) and one.clusters == other.clusters == 40


@given(SCORES, st.randoms(use_true_random=False), st.integers(0, 5))
def test_order_does_not_matter_and_a_scale_passes_through(
    scores: list[float], random: object, seed: int
) -> None:
    names = [str(n % 7) for n in range(len(scores))]
    order = list(range(len(scores)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one = mean_interval(scores, names, seed=seed)
    moved = mean_interval([scores[i] for i in order], [names[i] for i in order], seed=seed)
    assert moved == pytest.approx(one, abs=1e-12)
    scaled = mean_interval([8 * s for s in scores], names, seed=seed)
    assert scaled == tuple(8 * bound for bound in one)


@given(st.lists(st.booleans(), min_size=30, max_size=60))
def test_more_clusters_of_the_same_kind_narrow_the_interval(right: list[bool]) -> None:
    """Four times as many: half the width, within a resample's noise of 25 % and one answer."""
    scores = [float(r) for r in right]
    mean, low, high = mean_interval(scores, seed=1)
    more, lower, higher = mean_interval(scores * 4, seed=1)
    assert more == pytest.approx(mean)
    assert higher - lower == pytest.approx((high - low) / 2, rel=0.25, abs=1 / len(scores))
    within = mean_interval(scores * 4, [str(n) for n in range(len(scores))] * 4, seed=1)
    assert within == pytest.approx((mean, low, high))  # four questions about each picture


def test_what_has_no_interval_says_so() -> None:
    one = figure(mean_tally("m", [1.0, 0.0, 1.0], ["a"] * 3))
    assert one.value == pytest.approx(2 / 3) and one.clusters == 1
    assert math.isnan(one.low) and math.isnan(one.high)
    none = figure(mean_tally("m", [], []))
    assert math.isnan(none.value) and math.isnan(none.low) and none.count == none.clusters == 0
    undefined = figure(share_tally("m", [0.0] * 4, [0.0] * 4, alone(4)))
    assert math.isnan(undefined.value) and math.isnan(undefined.low)
    assert mean_interval([1.0] * 9) == (1, 1, 1)


def test_resamples_in_which_a_figure_is_undefined_are_left_out() -> None:
    found = figure(share_tally("m", [1.0, 0, 0], [1.0, 0, 0], alone(3)))
    assert (found.value, found.low, found.high) == (1, 1, 1)


CODE = """
import numpy as np
from sightline.eval.statistics import figure, mean_tally, paired
x, y = np.random.default_rng(0).random((2, 3000))
names = [str(n // 2) for n in range(3000)]
a, b = mean_tally("m", x, names), mean_tally("m", y, names)
print(figure(a), paired(a, b, permutations=99))
"""


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads() -> None:
    def told(threads: str) -> str:
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", CODE]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert told("1") == told("2") != ""


def test_memory_is_bounded() -> None:
    """200,000 clusters, 50 resamples: as one table they would take 80 MB."""
    scores = np.random.default_rng(0).random(200_000)
    tally = mean_tally("m", scores, alone(200_000))
    tracemalloc.start()
    figure(tally, resamples=50)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


# Differences


def test_a_difference_has_the_interval_and_the_p_of_scipy() -> None:
    """12 clusters: p from all 4096 exchanges, ours within 4 standard errors of it; the interval
    within 4 % of its width for 20,000 resamples each."""
    rng = np.random.default_rng(2)
    first, second = rng.random(12), rng.random(12) * 0.8

    def mean_difference(a: Array, b: Array, axis: int = -1) -> Array:
        return a.mean(axis) - b.mean(axis)

    theirs = stats.permutation_test(
        (first, second), mean_difference, permutation_type="samples", n_resamples=np.inf
    )
    resampled = stats.bootstrap(
        (first, second),
        mean_difference,
        paired=True,
        method="percentile",
        n_resamples=20_000,
        batch=1000,
        rng=rng,
    ).confidence_interval
    one, other = mean_tally("m", first, alone(12)), mean_tally("m", second, alone(12))
    ours = paired(one, other, resamples=20_000)
    assert ours.value == pytest.approx(theirs.statistic) and (ours.count, ours.clusters) == (12, 12)
    assert 0.02 < theirs.pvalue < 0.98
    error = math.sqrt(theirs.pvalue * (1 - theirs.pvalue) / 9999)
    assert ours.p == pytest.approx(theirs.pvalue, abs=4 * error + 1e-4)
    width = resampled.high - resampled.low
    assert ours.low == pytest.approx(resampled.low, abs=0.04 * width)
    assert ours.high == pytest.approx(resampled.high, abs=0.04 * width)


def f1(sums_3: Array) -> Array:
    """Of true positives, false positives and misses: not linear in what the units add."""
    hits, wrong, missed = np.moveaxis(sums_3, -1, 0)
    return 2 * hits / (2 * hits + wrong + missed)


def test_the_p_of_a_figure_that_is_not_a_mean() -> None:
    """F1 of 11 clusters of several units against all 2048 exchanges, by hand."""
    rng = np.random.default_rng(6)
    names = tuple(str(n % 11) for n in range(80))
    rows = [np.eye(3)[rng.choice(3, 80, p=p)] for p in ((0.6, 0.2, 0.2), (0.5, 0.25, 0.25))]
    first, second = (Tally("F1", rows_N3, names, f1) for rows_N3 in rows)
    ours = paired(first, second)
    sums = [np.stack([r[[n == str(c) for n in names]].sum(0) for c in range(11)]) for r in rows]
    seen = f1(sums[0].sum(0)) - f1(sums[1].sum(0))
    large = 0
    for code in range(2**11):
        flip = np.array([code >> c & 1 for c in range(11)], bool)[:, None]
        a, b = np.where(flip, sums[1], sums[0]).sum(0), np.where(flip, sums[0], sums[1]).sum(0)
        large += abs(f1(a) - f1(b)) >= abs(seen) - 1e-12
    p = large / 2**11
    assert ours.value == pytest.approx(seen) and 0.01 < p < 0.99
    assert ours.p == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 9999) + 1e-4)


@pytest.mark.parametrize("noise", [0.0, 1e-12], ids=["few types", "many"])
def test_of_right_and_wrong_it_is_the_test_of_mcnemar(noise: float) -> None:
    rng = np.random.default_rng(5)
    first, second = rng.random((2, 400)) < [[0.62], [0.56]]
    exact = mcnemar(first.tolist(), second.tolist()).p
    one = mean_tally("m", first + noise * rng.random(400), alone(400))
    found = paired(one, mean_tally("m", second.astype(float), alone(400)))
    assert 0.01 < exact < 0.5
    assert found.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9999) + 1e-4)


def test_ties_give_p_one_and_a_great_difference_the_smallest() -> None:
    scores, names = clustered(np.random.default_rng(0))
    one = mean_tally("m", scores, names)
    same = paired(one, one)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    right, wrong = mean_tally("m", [1.0] * 40, alone(40)), mean_tally("m", [0.0] * 40, alone(40))
    found = paired(right, wrong)
    assert (found.value, found.low, found.high, found.p) == (1, 1, 1, 1 / 10_000)
    single = paired(mean_tally("m", [1.0], ["a"]), mean_tally("m", [0.0], ["a"]))
    assert single.value == single.p == 1 and math.isnan(single.low)


@given(SCORES)
def test_a_difference_turns_with_its_sides(scores: list[float]) -> None:
    names = [str(n % 5) for n in range(len(scores))]
    one, other = mean_tally("m", scores, names), mean_tally("m", scores[::-1], names)
    there = paired(one, other, resamples=100, permutations=999)
    back = paired(other, one, resamples=100, permutations=999)
    assert there.value == pytest.approx(-back.value, abs=1e-12)
    assert there.p == pytest.approx(back.p, abs=0.1)
    assert 0 < there.p <= 1 and there.low <= there.high
    assert there.value == pytest.approx(figure(one).value - figure(other).value, abs=1e-12)


def rejected(null: bool, trials: int = 400) -> tuple[float, float]:
    """How often p < 0.05, of the paired test over clusters and of McNemar's over items.

    Two models of equal skill each have pictures that lie to them; if not null, one is worse.
    """
    ours = theirs = 0
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        skill = rng.beta(0.5, 0.5, (2, 30))
        skill[1] *= 1.0 if null else 0.5
        first, second = rng.random((2, 6, 30)) < skill[:, None]
        names = [str(n % 30) for n in range(180)]
        tallies = [mean_tally("m", s.ravel().astype(float), names) for s in (first, second)]
        ours += paired(*tallies, resamples=2, permutations=199).p < 0.05
        theirs += mcnemar(first.ravel().tolist(), second.ravel().tolist()).p < 0.05
    return ours / trials, theirs / trials


def test_equal_models_differ_as_rarely_as_p_says_and_unequal_ones_are_found() -> None:
    """5 % ± 3.3 % (3 standard errors); items that are not independent mislead McNemar's test."""
    ours, theirs = rejected(null=True)
    assert 0.017 <= ours <= 0.083
    assert theirs > 0.2
    found, _ = rejected(null=False, trials=100)
    assert found > 0.6


def test_a_difference_that_is_undefined_is_nan() -> None:
    known, unknown = (share_tally("m", [1.0, 0.0], w, "ab") for w in ([1.0, 1.0], [0.0, 0.0]))
    for found in (paired(known, unknown), paired(unknown, known)):
        assert all(math.isnan(x) for x in (found.value, found.low, found.high, found.p))


def test_exchanges_that_are_undefined_count_as_large() -> None:
    """Each figure is over one of two clusters: to exchange one of them leaves the other condition
    undefined, to exchange none or both gives what was seen."""
    first = share_tally("m", [1.0, 1.0], [4.0, 0.0], "ab")
    second = share_tally("m", [0.0, 1.0], [0.0, 4.0], "ab")
    found = paired(first, second)
    assert (found.value, found.p) == (pytest.approx(0.25), 1)


@pytest.mark.parametrize(
    ("scores", "names", "problem"),
    [([1.0, 0.0], "ac", "other clusters"), ([1.0], "a", "sums of units")],
)
def test_other_units_are_not_compared(scores: list[float], names: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as error:
        paired(mean_tally("acc", [1.0, 0.0], "ab"), mean_tally("acc", scores, names))
    assert error.value.field == "acc"


# McNemar


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_mcnemar_is_the_binomial_test_of_scipy(one: int, other: int, both: int) -> None:
    first = [True] * (one + both) + [False] * (other + both)
    second = [False] * one + [True] * both + [True] * other + [False] * both
    found = mcnemar(first, second)
    assert (found.first, found.second) == (one, other)
    wanted = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert found.p == pytest.approx(wanted, rel=1e-9)
    assert mcnemar(second, first).p == found.p


@pytest.mark.parametrize(("one", "other"), [(50_300, 50_000), (61_000, 60_000), (100_000, 3)])
def test_mcnemar_of_many(one: int, other: int) -> None:
    found = mcnemar([True] * one + [False] * other, [False] * one + [True] * other)
    wanted = stats.binomtest(one, one + other).pvalue
    assert found.p == pytest.approx(wanted, rel=1e-6)


def test_mcnemar_of_lists_that_do_not_match() -> None:
    with pytest.raises(DataError, match="mcnemar: has 1 and 2 answers"):
        mcnemar([True], [True, False])


# The majority answer


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1))
def test_majority_is_the_best_answer_that_knows_the_group_alone(
    pairs: Sequence[tuple[str, str]],
) -> None:
    best = 0
    for group in {g for g, _ in pairs}:
        answers = Counter(answer for g, answer in pairs if g == group)
        best += max(answers.values())
    found = majority([g for g, _ in pairs], [a for _, a in pairs])
    assert found == pytest.approx(best / len(pairs))
    overall = max(Counter(answer for _, answer in pairs).values()) / len(pairs)
    assert found >= overall - 1e-12
