"""Several models asked the same: differences, corrections, sentences, and one table."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.report.pages import check
from tests.eval.report.results import Length, item, result, said

from sightline.core.errors import DataError
from sightline.eval.compare import (
    Timing,
    compare,
    comparison_html,
    comparison_json,
    comparison_markdown,
    holm,
    write_comparison,
)
from sightline.eval.item import Answers
from sightline.eval.result import Prices, Result
from sightline.eval.said import Said
from sightline.eval.statistics import mcnemar, mean_tally, paired

ITEMS = [item(n, "yes", "ab"[n % 2]) for n in range(300)]


def answered(name: str, wrong: range, visual: int = 576, **more: Said) -> Result:
    """All right but these; `n12=Said(...)` is another answer to question 12."""
    rows = [said("no" if n in wrong else "yes", visual_tokens=visual) for n in range(300)]
    for place, one in more.items():
        rows[int(place[1:])] = one
    return replace(result(ITEMS, {"full": rows}, model=name), identity={"connector": name})


LINEAR, SHUFFLE = answered("linear", range(100)), answered("shuffle", range(95, 198), 144)
WEAK = answered("weak", range(180), 36)
TIMES = {"linear": Timing((90.0, 93.0, 110.0)), "shuffle": Timing((30.0, 29.0, 31.0))}


def test_figures_and_differences_by_hand() -> None:
    made = compare([LINEAR, SHUFFLE, WEAK])
    first, second, third = made.rows
    assert [row.headline.value for row in made.rows] == pytest.approx([200 / 300, 197 / 300, 0.4])
    assert first.against is None and second.against is not None and third.against is not None
    clusters = [i.cluster for i in ITEMS]
    scores = [[float(n not in wrong) for n in range(300)] for wrong in (range(95, 198), range(100))]
    wanted = paired(*(mean_tally("accuracy", rows, clusters) for rows in scores))
    assert second.against.difference == wanted
    assert wanted.value == pytest.approx(-0.01)
    # 95 questions are right of it alone, 98 of the first alone.
    assert second.against.discordant == mcnemar(*([s == 1 for s in rows] for rows in scores))
    assert (second.against.discordant.first, second.against.discordant.second) == (95, 98)
    assert second.by_kind["a"].value == pytest.approx(99 / 150)
    ps = [second.against.difference.p, third.against.difference.p]
    assert [second.against.holm_p, third.against.holm_p] == [ps[0], 2 * ps[1]]


def test_sentences() -> None:
    made = compare([LINEAR, SHUFFLE], TIMES)
    assert made.rows[1].against is not None
    p = made.rows[1].against.difference.p
    halves = [50 * (row.headline.high - row.headline.low) for row in made.rows]
    assert made.sentences == (
        f"linear, 576 tokens: 66.7 ± {halves[0]:.1f}; shuffle, 144 tokens: 65.7 ± {halves[1]:.1f}, "
        f"3.1 × faster to the first token; the difference (−1.0 points, p = {p:.2f}) cannot be "
        "told from chance.",
    )
    made = compare([SHUFFLE, WEAK, LINEAR], TIMES)
    weak, linear = made.sentences
    assert weak.startswith("shuffle, 144 tokens: 65.7 ± ") and "faster" not in weak
    assert "; the difference is −25.7 points (95 % interval −" in weak
    assert weak.endswith("p < 0.001, corrected for 2 comparisons).")
    assert "3.1 × slower to the first token; the difference (+1.0 points" in linear
    same = {name: Timing((50.0,)) for name in ("linear", "shuffle")}
    assert ", as fast to the first token;" in compare([LINEAR, SHUFFLE], same).sentences[0]


def test_what_one_failed_is_left_out_of_all() -> None:
    lost = said("", failure="time-out: 60 s")
    made = compare([LINEAR, answered("other", range(100), n5=lost, n200=lost)])
    assert made.judged == 298 and made.items == 300
    assert [row.headline.count for row in made.rows] == [298, 298]
    assert [row.headline.value for row in made.rows] == pytest.approx([199 / 298] * 2)
    assert made.notes == (
        "2 of 300 questions are left out of every model's figures, for a model has no answer to "
        "them (other: 2 time-out): figures are over the other 298.",
    )
    assert made.rows[1].against is not None and made.rows[1].against.difference.p == 1
    with pytest.raises(DataError, match="no question that every model has answered"):
        compare([result(ITEMS[:1], {"full": [lost]}, model=name) for name in "ab"])


def test_figures_that_are_no_shares_have_no_mcnemar() -> None:
    both = [
        result(ITEMS, {"full": ["y" * (n % size) for n in range(300)]}, Length(), model=f"m{size}")
        for size in (3, 5)
    ]
    made = compare(both)
    assert made.rows[1].against is not None and made.rows[1].against.discordant is None
    assert "points" not in made.sentences[0] and "–" in comparison_markdown(made)


def test_a_single_question_has_no_interval() -> None:
    both = [result(ITEMS[:1], {"full": [text]}, model=text) for text in ("yes", "no")]
    made = compare(both)
    assert math.isnan(made.rows[0].headline.low)
    assert made.sentences[0].startswith("yes, 100 tokens: 100.0; no, 100 tokens: 0.0; the diff")
    check(comparison_html(made))


def test_servers_that_count_pictures_as_text() -> None:
    rows = [said("yes", text_tokens=800, visual_tokens=0, kv_bytes=0)] * 300
    remote = result(ITEMS, {"full": rows}, model="remote", prices=Prices(2.5, 10))
    made = compare([LINEAR, remote])
    assert "; remote, 800 tokens: 100.0 ± 0.0" in made.sentences[0]
    assert made.notes == ("remote counts the tokens of pictures as text.",)
    page = check(comparison_html(made))
    assert "accuracy against tokens of a question, text and pictures" in page.text
    assert made.rows[1].cost is not None
    assert made.rows[1].cost.item == pytest.approx((800 * 2.5 + 2 * 10) / 1e6)


def test_what_the_picture_gives_each_model() -> None:
    seen = [
        replace(one, said={**one.said, "blind": [said("no")] * 100 + [said("yes")] * 200})
        for one in (LINEAR, SHUFFLE)
    ]
    made = compare(seen)
    assert [row.blind.difference.value for row in made.rows if row.blind] == pytest.approx(
        [0.0, -0.01]
    )
    assert "| −1.0 of 65.7 |" in comparison_markdown(made)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": "other"}, "question 3 has the key 'other', of linear 'rows.jsonl:2'"),
        ({"parts": ("Else?",)}, "question 3 has the question 'Else?', of linear 'Question 2?'"),
        ({"truth": Answers(("no",))}, "question 3 has the truth Answers"),
        ({"unit": "u"}, "question 3 has the unit 'u', of linear ''"),
    ],
)
def test_other_questions_are_refused(change: dict[str, object], words: str) -> None:
    items = list(ITEMS)
    items[2] = replace(items[2], **change)  # type: ignore[arg-type]
    with pytest.raises(DataError) as error:
        compare([LINEAR, replace(SHUFFLE, items=items)])
    assert words in str(error.value) and error.value.field == "shuffle"


def test_what_cannot_be_compared_is_refused() -> None:
    fewer = replace(SHUFFLE, items=ITEMS[:299], said={"full": SHUFFLE.said["full"][:299]})
    with pytest.raises(DataError, match="was asked 299 questions, linear 300"):
        compare([LINEAR, fewer])
    with pytest.raises(DataError, match="give two models or more"):
        compare([LINEAR])
    with pytest.raises(DataError, match="two results of 'linear'"):
        compare([LINEAR, LINEAR])
    with pytest.raises(DataError, match=r"was asked vqa \(exact match\), linear task \(exact"):
        compare([LINEAR, replace(SHUFFLE, task="vqa")])
    with pytest.raises(DataError, match=r"task \(mean error\)"):
        compare([LINEAR, replace(SHUFFLE, metric=Length())])
    with pytest.raises(DataError, match="timings: are of 'else'"):
        compare([LINEAR, SHUFFLE], {"else": Timing((1.0,))})


def test_holm_by_hand() -> None:
    # Holm 1979: 0.01 × 4, 0.02 × 3, then 0.03 × 2 and 0.04 × 1, never below the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    found = holm([0.5, math.nan, 0.9])
    assert found[0] == 1.0 and math.isnan(found[1]) and found[2] == 1.0
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_corrects_upwards_keeps_the_order_and_rejects_what_bonferroni_does(
    ps: list[float],
) -> None:
    found = holm(ps)
    assert all(p <= c <= min(1, len(ps) * p) + 1e-12 for p, c in zip(ps, found, strict=True))
    order = sorted(range(len(ps)), key=ps.__getitem__)
    corrected = [found[at] for at in order]
    assert corrected == sorted(corrected)
    shuffled = random.Random(0).sample(range(len(ps)), len(ps))
    assert holm([ps[at] for at in shuffled]) == [found[at] for at in shuffled]


def test_renderings_agree_and_are_the_same_twice(tmp_path: Path) -> None:
    made = compare([LINEAR, SHUFFLE, WEAK], {**TIMES, "weak": Timing((12.0,))})
    write_comparison(tmp_path / "a", made)
    write_comparison(
        tmp_path / "b", compare([LINEAR, SHUFFLE, WEAK], {**TIMES, "weak": Timing((12.0,))})
    )
    for name in ("compare.json", "compare.md", "compare.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    data = json.loads(comparison_json(made))
    markdown, page = comparison_markdown(made), check(comparison_html(made))
    for row in data["rows"]:
        value = f"{100 * row['figures'][0]['value']:.1f}"
        assert f"| {row['model']} | {value} (" in markdown and value in page.text
    for sentence in made.sentences:
        assert sentence in markdown and sentence in page.text
    plots = [a["aria-label"] for a in page.all("svg")]
    assert plots == [
        "accuracy against visual tokens of a question",
        "accuracy against milliseconds to the first token",
    ]
    assert len(page.all("circle")) == 6
    assert data["rows"][0]["speed"] == {"median": 93.0, "p95": 110.0}


def test_names_are_never_markup() -> None:
    evil = replace(SHUFFLE, model="<script>a|b</script>")
    made = compare([LINEAR, evil])
    assert "<script" not in comparison_html(made)
    assert r"\<script>a\|b\</script>" in comparison_markdown(made)
    assert "<script>a|b</script>" in check(comparison_html(made)).text
