"""Figures over sets of questions: bounds, order, and what they have to do with each other."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.sets import COGNITION, PERCEPTION, BySkill, Hallusion, MmeScore
from sightline.eval.metrics.yes_no import YesNo
from sightline.eval.said import Said
from sightline.eval.statistics import figure

METRICS: list[Metric] = [MmeScore(), Hallusion(), BySkill(YesNo())]
WORDS = ("yes", "no", "I cannot tell")


def asked(pairs: int) -> list[Item]:
    """Two questions about each of two figures, set by set, over all kinds of MME in turn."""
    kinds = (PERCEPTION + COGNITION)[::4]
    return [
        Item(
            f"{number} {figure} {question}",
            asked_about(b"", "?"),
            Answers((("yes", "no")[(figure + question) % 2],)),
            kinds[number % len(kinds)],
            group=f"{number}, question {question}",
            cluster=f"{number}, figure {figure}",
            unit=f"{number}, figure {figure}",
        )
        for number in range(pairs)
        for figure in range(2)
        for question in range(2)
    ]


def values(metric: Metric, items: Sequence[Item], texts: Sequence[str]) -> dict[str, float]:
    said = [Said(text) for text in texts]
    tallies = metric.tallies(items, said, metric.scores(items, said))
    return {tally.name: figure(tally, resamples=1).value for tally in tallies}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@given(st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_order_of_items_does_not_matter(metric: Metric, pairs: int, rng: random.Random) -> None:
    items = asked(pairs)
    texts = rng.choices(WORDS, k=len(items))
    both = list(zip(items, texts, strict=True))
    rng.shuffle(both)
    moved = values(metric, [item for item, _ in both], [text for _, text in both])
    assert moved == pytest.approx(values(metric, items, texts), abs=1e-9, nan_ok=True)


@given(st.integers(1, 6), st.randoms(use_true_random=False))
def test_all_of_a_set_right_is_rarer_than_one(pairs: int, rng: random.Random) -> None:
    items = asked(pairs)
    texts = rng.choices(WORDS, k=len(items))
    found = values(Hallusion(), items, texts)
    assert 0 <= max(found["fAcc"], found["qAcc"]) <= found["aAcc"] <= 1
    mme = values(MmeScore(), items, texts)
    kinds = len({item.kind for item in items})
    assert mme["accuracy+"] <= mme["accuracy"]
    total = mme.get("perception score", 0) + mme.get("cognition score", 0)
    assert 0 <= total <= 200 * kinds


def test_all_right_is_the_most_there_is() -> None:
    items = asked(4)
    right = [item.answer for item in items]
    assert values(MmeScore(), items, right)["perception score"] == 600
    assert values(MmeScore(), items, right)["cognition score"] == 200
    assert values(Hallusion(), items, right) == {"aAcc": 1, "fAcc": 1, "qAcc": 1, "unparsed": 0}
    assert values(BySkill(YesNo()), items, right)["average over skills"] == 1


def test_a_rare_skill_counts_like_a_frequent_one() -> None:
    items = [
        Item(str(n), ("?",), Answers(("yes",)), kind) for n, kind in enumerate(("a", "a", "a", "b"))
    ]
    found = values(BySkill(YesNo()), items, ["yes", "yes", "no", "yes"])
    assert found["average over skills"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-12)
    assert found["accuracy"] == 0.75
