"""Intervals that cover, and the majority answer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.eval.statistics import majority, mean_interval


def test_a_95_percent_interval_covers_the_truth_about_as_often() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        scores = rng.binomial(1, 0.7, size=80)
        mean, low, high = mean_interval(scores.tolist(), resamples=300, seed=trial)
        assert mean == pytest.approx(scores.mean()) and low <= mean <= high
        covered += low <= 0.7 <= high
    assert 178 <= covered <= 198


def test_the_interval_is_that_of_the_normal_law_and_narrows() -> None:
    scores = np.random.default_rng(1).random(400)
    _, low, high = mean_interval(scores.tolist(), resamples=4000)
    wanted = 1.96 * scores.std() / 20
    assert (high - low) / 2 == pytest.approx(wanted, rel=0.06)
    assert mean_interval([1.0] * 9) == (1.0, 1.0, 1.0)
    assert mean_interval(scores.tolist(), seed=3) == mean_interval(scores.tolist(), seed=3)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1))
def test_majority_is_the_best_answer_that_knows_the_group_alone(pairs: list[tuple[str, str]]):
    best = 0
    for group in {g for g, _ in pairs}:
        answers = Counter(answer for g, answer in pairs if g == group)
        best += max(answers.values())
    found = majority([g for g, _ in pairs], [a for _, a in pairs])
    assert found == pytest.approx(best / len(pairs))
    overall = max(Counter(answer for _, answer in pairs).values()) / len(pairs)
    assert found >= overall - 1e-12
