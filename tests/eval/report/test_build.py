"""Figures of results that are computed by hand, and the sentence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.report.results import Length, item, letter, place, result, said

from sightline.eval.metrics.choices import ByLetter, PairsRight
from sightline.eval.metrics.places import BoxIou
from sightline.eval.metrics.words import ErrorRate, Exact
from sightline.eval.report import report
from sightline.eval.report.build import spread
from sightline.eval.report.judged import whole
from sightline.eval.result import Prices
from sightline.eval.said import Said
from sightline.eval.statistics import figure, majority, mean_tally, paired

ITEMS = [item(n, "yes" if n % 4 else "no", "colour" if n % 2 else "shape") for n in range(200)]
RIGHT = [i.answer for i in ITEMS]
ALWAYS = ["yes"] * 200


def test_figures_differences_and_the_sentence() -> None:
    # 200 of 200 right with the picture, the 150 `yes` without it.
    made = report(result(ITEMS, {"full": RIGHT, "blind": ALWAYS}))
    assert made.headline is not None and made.headline.value == 1.0
    assert made.figures["blind"][0].value == 0.75
    assert made.by_kind["blind"]["colour"].value == 1.0
    assert made.by_kind["blind"]["shape"].value == 0.5
    gap = made.gaps["blind"]
    assert (gap.full, gap.without) == (1.0, 0.75)
    clusters = [i.cluster for i in ITEMS]
    scores = [[1.0] * 200, [float(n % 4 != 0) for n in range(200)]]
    wanted = paired(*(mean_tally("accuracy", rows, clusters) for rows in scores))
    assert gap.difference == wanted and wanted.value == 0.25
    low, high = 100 * wanted.low, 100 * wanted.high
    assert made.sentence == (
        "25.0 points of 100.0 come from the picture "
        f"(95 % interval {low:.1f} to {high:.1f}, p < 0.001)."
    )
    assert made.notes == (
        "Always giving the most frequent answer of a group scores 75.0 on the 200 questions that "
        "one word answers; the model scores 100.0 (100.0 to 100.0) on them.",
    )


def test_a_model_that_does_not_look() -> None:
    made = report(result(ITEMS, {"full": ALWAYS, "blind": ALWAYS}))
    assert made.sentence == (
        "The picture makes no difference that can be told from chance (0.0 points of 75.0, 95 % "
        "interval 0.0 to 0.0, p = 1.00): the answers come from the question."
    )


def test_nothing_is_right() -> None:
    made = report(result(ITEMS, {"full": ["?"] * 200, "blind": ["?"] * 200}))
    assert made.sentence == "Nothing is right, with the picture or without it."


def test_few_questions_tell_nothing() -> None:
    made = report(result(ITEMS[:3], {"full": RIGHT[:3], "blind": ALWAYS[:3]}))
    assert "no difference that can be told from chance (33.3 points of 100.0" in made.sentence
    assert made.sentence.endswith("if there is one, more questions will show it.")


def test_a_picture_that_misleads() -> None:
    made = report(result(ITEMS, {"full": ["no"] * 200, "blind": ALWAYS}))
    assert made.sentence.startswith(
        "The picture takes 50.0 points away: 25.0 with it, 75.0 without it (95 % interval −"
    )


def test_without_the_control_the_sentence_says_how_to_run_it() -> None:
    made = report(result(ITEMS, {"full": RIGHT}))
    assert made.sentence == (
        "100.0 points; run it with the control `blind` to know what comes from the picture."
    )
    assert made.gaps == {}


def test_one_picture_has_no_interval() -> None:
    made = report(result(ITEMS[:1], {"full": RIGHT[:1], "blind": ["what"]}))
    assert made.headline is not None and math.isnan(made.headline.low)
    assert made.sentence == (
        "100.0 points of 100.0 come from the picture; there is no interval, for all is about one "
        "picture."
    )


def test_errors_and_figures_that_are_no_shares() -> None:
    items = [item(n, "yes") for n in range(40)]
    answers = {"full": ["ye"] * 40, "blind": [""] * 40}
    assert report(result(items, answers, Length())).sentence == (
        "The picture takes 2.000 off the mean error: 1.000 with it, 3.000 without it "
        "(95 % interval −2.000 to −2.000, p < 0.001)."
    )
    assert report(result(items, answers, ErrorRate("character"))).sentence == (
        "The picture takes 66.7 points off the CER: 33.3 with it, 100.0 without it "
        "(95 % interval −66.7 to −66.7, p < 0.001)."
    )
    more = {"full": answers["blind"], "blind": answers["full"]}
    assert report(result(items, more, Length())).sentence.startswith(
        "The picture adds 2.000 to the mean error: 3.000 with it, 1.000 without it"
    )
    assert report(result(items, more, Length("CIDEr", True))).sentence.startswith(
        "2.000 of 3.000 (CIDEr) come from the picture"
    )
    assert report(result(items, more, Length("yes-share", None))).sentence.startswith(
        "The picture moves the yes-share by 2.000: 3.000 with it, 1.000 without it"
    )


def test_failures_are_counted_left_out_and_said_first() -> None:
    full: list[Said | str] = list(RIGHT)
    full[0] = said("", failure="server error 503: busy")
    full[1] = said("", failure="time-out: after 60 s")
    full[2] = said("", failure="time-out: after 61 s")
    blind: list[Said | str] = list(ALWAYS)
    blind[3] = said("", failure="time-out: after 60 s")
    made = report(result(ITEMS, {"full": full, "blind": blind}))
    assert made.asked["full"].failed == {"time-out": 2, "server error 503": 1}
    assert made.notes[:2] == (
        "3 of 200 questions have no answer (2 time-out, 1 server error 503): figures are over the "
        "other 197.",
        "Under the control `blind` 1 of 200 questions has no answer (1 time-out): figures are over "
        "the other 199.",
    )
    assert made.figures["full"][0].count == 197 and made.figures["blind"][0].count == 199
    assert made.gaps["blind"].difference.count == 196
    assert made.gaps["blind"].without == pytest.approx(147 / 196)


def test_nothing_is_answered() -> None:
    failed = [said("", failure="time-out: 1")] * 3
    made = report(result(ITEMS[:3], {"full": failed, "blind": RIGHT[:3]}))
    assert made.headline is None and made.figures["full"] == ()
    assert made.sentence == "No question has an answer, so that there is no figure."
    other = report(result(ITEMS[:3], {"full": RIGHT[:3], "blind": failed}))
    assert other.sentence == (
        "100.0 points; no question has an answer both with and without the picture."
    )


def test_what_is_judged_together_fails_together() -> None:
    items = [item(n, "yes", unit=f"u{n // 2}") for n in range(6)]
    answers = [said("yes")] * 6
    answers[1] = said("", failure="time-out: 1")
    assert whole(items, [[said("yes")] * 6, answers]) == [2, 3, 4, 5]
    made = report(result(items, {"full": answers}))
    assert made.asked["full"].left_out == 1 and made.asked["full"].judged == 4
    assert made.notes[0] == (
        "1 of 6 questions has no answer (1 time-out), and 1 that is judged together with it is "
        "left out: figures are over the other 4."
    )


def test_units_are_what_a_metric_counts() -> None:
    items = [replace(letter(n, n % 2), unit=f"u{n // 2}") for n in range(8)]
    made = report(result(items, {"full": ["A"] * 8}, PairsRight()))
    assert [round(f.value, 6) for f in made.figures["full"][:2]] == [0.5, 0.0]
    assert [f.count for f in made.figures["full"][:2]] == [8, 4]


def test_majority_answer_is_that_of_each_group() -> None:
    items = [item(n, str(n % 3 == 0), group=str(n % 2)) for n in range(60)]
    made = report(result(items, {"full": ["True"] * 60}))
    assert made.majority is not None and made.majority.count == 60
    wanted = majority([i.group for i in items], [i.answer for i in items])
    assert made.majority.value == pytest.approx(wanted)
    mixed = [*items, item(70, "two words"), place(71), place(72)]
    found = report(result(mixed, {"full": ["True"] * 63}, _Mixed()))
    assert found.majority is not None and found.majority.count == 60
    assert report(result(items, {"full": ["True"] * 60}, Length())).majority is None
    alone = [item(n, "yes", group=str(n)) for n in range(9)]
    assert report(result(alone, {"full": ["yes"] * 9})).majority is None


class _Mixed(Exact):
    """Exact match, and no place is right."""

    def scores(self, items, said):  # type: ignore[no-untyped-def]
        words = [i.answer == s.text for i, s in zip(items, said, strict=True)]
        return [float(right) for right in words]


def test_majority_of_letters() -> None:
    made = report(
        result([letter(n, int(n > 2)) for n in range(9)], {"full": ["A"] * 9}, ByLetter())
    )
    assert made.majority is not None and made.majority.value == pytest.approx(6 / 9)
    assert made.majority.model.value == pytest.approx(3 / 9)


def test_places_have_no_majority() -> None:
    made = report(result([place(n) for n in range(4)], {"full": ["x"] * 4}, BoxIou()))
    assert made.majority is None and made.headline is not None and made.headline.value == 0


def test_tokens_memory_cost_and_evidence() -> None:
    rows = [
        said(a, answer_tokens=n, evidence=0.1 * n, finish="length" if n > 17 else "stop")
        for n, a in enumerate(RIGHT[:20])
    ]
    made = report(result(ITEMS[:20], {"full": rows, "blind": rows}, prices=Prices(2.0, 10.0)))
    assert made.took is not None and made.took.visual is not None
    assert made.took.answer.mean == 9.5 and made.took.answer.p95 == 18
    assert made.took.visual.mean == 100
    one = (120 * 2.0 + 9.5 * 10.0) / 1e6
    assert made.cost is not None and made.cost.item == pytest.approx(one)
    assert made.cost.full == pytest.approx(20 * one)
    assert made.cost.total == pytest.approx(40 * one)
    assert made.evidence is not None and made.evidence.value == pytest.approx(0.95)
    assert made.notes[0] == "2 answers were cut off at the limit of tokens."
    assert made.notes[-1].startswith(
        "The picture makes a token of the answer likelier by 0.950 nat"
    )


def test_a_server_that_does_not_say() -> None:
    remote = [said(a, visual_tokens=0, kv_bytes=0) for a in RIGHT]
    made = report(result(ITEMS, {"full": remote}))
    assert made.took is not None and made.took.visual is None and made.took.kv_bytes is None
    assert made.notes[-1] == "The server counts the tokens of pictures as text."


def test_a_curve_is_the_figure_at_each_level() -> None:
    items = [item(n, "yes", level=float(8 >> n % 3)) for n in range(30)]
    answers = ["yes" if i.level == 8 or n < 15 else "no" for n, i in enumerate(items)]
    made = report(result(items, {"full": answers}))
    assert [level for level, _ in made.curve] == [2.0, 4.0, 8.0]
    assert [f.value for _, f in made.curve] == [0.5, 0.5, 1.0]
    wanted = mean_tally("accuracy", [1.0] * 10, [i.cluster for i in items[::3]])
    assert made.curve[2][1] == figure(wanted)


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_a_spread_is_the_mean_and_a_value_that_19_of_20_do_not_pass(values: list[int]) -> None:
    found = spread(values)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.p95 in values
    assert sum(v <= found.p95 for v in values) >= 0.95 * len(values)
    assert sum(v < found.p95 for v in values) < 0.95 * len(values)
