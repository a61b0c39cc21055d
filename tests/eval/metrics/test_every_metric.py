"""What holds of every metric: bounds, the truth scores best, order is left aside, wrong truths are
refused, and rows do not depend on what was said (so that two models can be paired)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.metrics.made import figures, item

from sightline.core.errors import DataError
from sightline.core.geometry import Box, Point
from sightline.eval.item import Answers, Boxes, Choice, Item, Truth
from sightline.eval.metrics.caption_words import caption_words
from sightline.eval.metrics.captions import Caption
from sightline.eval.metrics.choices import ByLetter, Circular, PairsRight
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.numbers import Count
from sightline.eval.metrics.places import BoxIou, PointInBox
from sightline.eval.metrics.vqa import VqaAccuracy
from sightline.eval.metrics.words import Anls, Contains, ErrorRate, Exact, Relaxed, TokenF1
from sightline.eval.metrics.yes_no import YesNo
from sightline.eval.said import Said

TEXT = st.text("abcAB 12.,-'\n", max_size=10)
FULL = TEXT.filter(str.strip)
BOX = st.builds(
    lambda x, y, width, height: Box(x, y, x + width, y + height),
    *(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9)),
)
PLACED = st.builds(
    lambda text, boxes, points: Said(text, tuple(boxes), tuple(points)),
    TEXT,
    st.lists(BOX, max_size=2),
    st.lists(st.builds(Point, st.integers(0, 20), st.integers(0, 20)), max_size=2),
)
SPOKEN = st.sampled_from(["yes", "No.", "A", "(B)", "the answer is C", "3", "two", "a red dog", ""])


def answers(texts: st.SearchStrategy[str], low: int = 1) -> st.SearchStrategy[Truth]:
    return st.lists(texts, min_size=low, max_size=low + 2).map(lambda each: Answers(tuple(each)))


def first_words(truth: Truth) -> Said:
    assert isinstance(truth, Answers)
    return Said(truth.texts[0])


def right_letter(truth: Truth) -> Said:
    assert isinstance(truth, Choice)
    return Said(truth.letters[truth.index])


def first_box(truth: Truth) -> Said:
    assert isinstance(truth, Boxes)
    return Said("", truth.boxes[:1])


@dataclass(frozen=True)
class Kind:
    """A metric, truths for it, and what is right of a truth."""

    metric: Metric
    truths: st.SearchStrategy[Truth]
    right: Callable[[Truth], Said] = first_words


CHOICES = st.integers(0, 2).map(lambda at: Choice(("red dog", "cat", "bird"), at))
YES_NO = st.sampled_from(["yes", "no"]).map(lambda word: Answers((word,)))
COUNTS = st.integers(0, 30).map(lambda number: Answers((str(number),)))
PLACES = st.lists(BOX, min_size=1, max_size=3).map(lambda each: Boxes(tuple(each)))
PEOPLE = st.tuples(FULL, st.lists(TEXT, max_size=6)).map(
    lambda each: Answers((*[each[0]] * 4, *each[1]))
)
KINDS = {
    "exact": Kind(Exact(), answers(TEXT)),
    "strict": Kind(Exact("strict"), answers(TEXT)),
    "bare": Kind(Exact("bare"), answers(TEXT)),
    "contains": Kind(Contains(), answers(FULL)),
    "f1": Kind(TokenF1(), answers(TEXT)),
    "relaxed": Kind(Relaxed(), answers(TEXT)),
    "anls": Kind(Anls(), answers(TEXT)),
    "cer": Kind(ErrorRate("character"), answers(FULL)),
    "wer": Kind(ErrorRate("word"), answers(FULL)),
    "vqa": Kind(VqaAccuracy(), PEOPLE),
    "letter": Kind(ByLetter(), CHOICES, right_letter),
    "circular": Kind(Circular(), CHOICES, right_letter),
    "pairs": Kind(PairsRight(), YES_NO),
    "yes": Kind(YesNo(), YES_NO),
    "count": Kind(Count(), COUNTS),
    "box": Kind(BoxIou(), PLACES, first_box),
    "point": Kind(PointInBox(), PLACES, first_box),
    "caption": Kind(Caption(), answers(FULL.filter(caption_words), 2)),
}
every = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def drawn(kind: Kind, data: st.DataObject) -> tuple[list[Item], list[Said]]:
    truths = data.draw(st.lists(kind.truths, min_size=1, max_size=6))
    items = [item(t, str(n), unit=str(n // 2), kind=f"kind {n % 2}") for n, t in enumerate(truths)]
    said = data.draw(st.lists(PLACED | SPOKEN.map(Said), min_size=len(items), max_size=len(items)))
    return items, said


@every
@settings(max_examples=25)
@given(data=st.data())
def test_scores_and_shares_are_bounded(kind: Kind, data: st.DataObject) -> None:
    items, said = drawn(kind, data)
    scores = kind.metric.scores(items, said)
    assert len(scores) == len(items)
    assert all(0 <= score <= (10 + 1e-9 if kind.metric == Caption() else 1) for score in scores)
    for tally in kind.metric.tallies(items, said, scores):
        value = float(tally.value(tally.rows_NK.sum(0)))
        assert np.isnan(value) or value >= 0
        if tally.percent and tally.name not in ("CER", "WER"):
            assert np.isnan(value) or value <= 1 + 1e-9


@every
@settings(max_examples=25)
@given(data=st.data())
def test_the_truth_scores_best(kind: Kind, data: st.DataObject) -> None:
    items, said = drawn(kind, data)
    right = [kind.right(each.truth) for each in items]
    best = kind.metric.scores(items, right)
    if kind.metric != Caption():  # of which two people's captions differ
        assert best == pytest.approx([1.0] * len(items), abs=1e-12)
        others = kind.metric.scores(items, said)
        assert all(a >= b - 1e-12 for a, b in zip(best, others, strict=True))
        first, *_ = kind.metric.tallies(items, right, best)
        value = float(first.value(first.rows_NK.sum(0)))
        assert value == pytest.approx(0 if first.higher_is_better is False else 1)


@every
@settings(max_examples=25)
@given(data=st.data())
def test_order_is_left_aside(kind: Kind, data: st.DataObject) -> None:
    items, said = drawn(kind, data)
    order = data.draw(st.permutations(range(len(items))))
    turned = [items[n] for n in order], [said[n] for n in order]
    expected = kind.metric.scores(items, said)
    assert kind.metric.scores(*turned) == pytest.approx([expected[n] for n in order], abs=1e-9)
    values = figures(kind.metric, items, said)
    assert figures(kind.metric, *turned) == pytest.approx(values, abs=1e-9, nan_ok=True)
    backwards = [item(flipped(each.truth), each.key, unit=each.unit) for each in items]
    if kind.metric != Caption():
        assert kind.metric.scores(backwards, said) == pytest.approx(expected, abs=1e-12)


def flipped(truth: Truth) -> Truth:
    """The same truth with its alternatives in another order."""
    match truth:
        case Answers(texts):
            return Answers(texts[::-1])
        case Boxes(boxes):
            return Boxes(boxes[::-1])
        case Choice():
            return truth


@every
@settings(max_examples=10)
@given(data=st.data())
def test_rows_are_of_the_items_alone(kind: Kind, data: st.DataObject) -> None:
    items, said = drawn(kind, data)

    def shape(answers: Sequence[Said]) -> list[tuple[object, ...]]:
        tallies = kind.metric.tallies(items, answers, kind.metric.scores(items, answers))
        return [(tally.name, tally.rows_NK.shape, tally.clusters) for tally in tallies]

    assert shape(said) == shape([Said("")] * len(items))


@every
def test_no_items_are_no_error(kind: Kind) -> None:
    assert kind.metric.scores([], []) == []
    for tally in kind.metric.tallies([], [], []):
        assert tally.rows_NK.shape[0] == 0
        assert tally.rows_NK.ndim == 2


@every
def test_a_truth_of_another_kind_is_refused(kind: Kind) -> None:
    wrong = [item(Boxes((Box(0, 0, 1, 1),)), "row 7"), item(Choice(("a", "b"), 0), "row 7")]
    of_words = kind.right is first_words
    refused = wrong if of_words else [item(Answers(("yes",)), "row 7")]
    for each in refused:
        if kind.metric == PairsRight() and isinstance(each.truth, Choice):
            continue  # which takes options too
        with pytest.raises(DataError, match=r"row 7: has .* for a truth"):
            kind.metric.scores([each], [Said("A")])


@every
def test_as_many_answers_as_items(kind: Kind) -> None:
    with pytest.raises(ValueError, match=r"zip\(\)"):
        kind.metric.scores([], [Said("A")])


@pytest.mark.parametrize("kind", [KINDS["exact"], KINDS["box"]], ids=["words", "boxes"])
def test_an_empty_truth_is_refused(kind: Kind) -> None:
    empty = Answers(()) if kind.right is first_words else Boxes(())
    with pytest.raises(DataError, match=r"row 7: has no (answer|box)"):
        kind.metric.scores([item(empty, "row 7")], [Said("A")])


@pytest.mark.parametrize("kind", [KINDS["exact"], KINDS["circular"], KINDS["caption"]])
def test_pictures_are_the_clusters(kind: Kind) -> None:
    truth = Choice(("a", "b"), 0) if kind.right is right_letter else Answers(("a dog",))
    items = [Item(str(n), ("?",), truth, cluster="one picture"[: n % 2 * 11]) for n in range(4)]
    said = [Said("A")] * 4
    for tally in kind.metric.tallies(items, said, kind.metric.scores(items, said)):
        assert tally.clusters == ("0", "one picture", "2", "one picture")
