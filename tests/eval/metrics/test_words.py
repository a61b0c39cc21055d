"""Words compared with words, against published values and other people's implementations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import jiwer
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein
from tests.eval.metrics.made import figures, says, score, words

from sightline.core.errors import DataError
from sightline.eval.metrics.words import (
    Anls,
    Contains,
    ErrorRate,
    Exact,
    Relaxed,
    TokenF1,
    anls,
    edit_distance,
    normalised,
    relaxed,
    squad_words,
    token_f1,
)

TEXTS = st.text("abAB 1.,%'-\n", max_size=12)
PROSE = st.lists(st.sampled_from("a the red Red cat's cat, dog! 3 dogs".split())).map(" ".join)


# Exact


@pytest.mark.parametrize(
    ("said", "plain", "strict"),
    [("Cat", 1, 1), (" Cat\n", 1, 1), ("cat.", 1, 0), ("CAT", 1, 0), ("a cat", 0, 0), ("", 0, 0)],
)
def test_exact(said: str, plain: float, strict: float) -> None:
    assert score(Exact(), words("dog", "Cat"), said) == plain
    assert score(Exact("strict"), words("dog", "Cat"), said) == strict


def test_bare_words_have_no_punctuation() -> None:
    assert score(Exact("bare"), words("t-shirt"), "T'shirt!") == 1
    assert score(Exact("plain"), words("t-shirt"), "T'shirt!") == 0


@given(TEXTS)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text) or normalised(text).endswith(".")


# Contains


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("The sign says STOP here.", 1),
        ("the sign: st\nop", 0),
        ("ＳＴＯＰ", 1),  # noqa: RUF001 (full-width letters are the point)
        ("sto p", 0),
        ("", 0),
    ],
)
def test_contains(said: str, found: float) -> None:
    assert score(Contains(), words("Stop"), said) == found


def test_contains_across_a_line_break() -> None:
    assert score(Contains(), words("open\nnow"), "It is Open Now!") == 1


def test_formulas_leave_space_aside_and_not_case() -> None:
    metric = Contains(formula_kinds=("formula",))
    truth = words(r"\frac { A } { b }", kind="formula")
    assert score(metric, truth, "$\\frac{A}\n{b}$") == 1
    assert score(metric, truth, r"\frac{a}{b}") == 0
    assert score(metric, words("A b"), "so: a b") == 1


def test_an_empty_answer_is_in_everything_and_refused() -> None:
    with pytest.raises(DataError, match="q: has an empty answer"):
        score(Contains(), words("x", " "), "x")


# Token F1


@given(PROSE, PROSE)
def test_f1_is_bounded_and_symmetric(text: str, answer: str) -> None:
    found = token_f1(text, answer)
    assert 0 <= found <= 1
    assert found == token_f1(answer, text) == token_f1(f"The {text}!", answer)
    assert token_f1(text, text) == 1
    assert (found == 1) == (sorted(squad_words(text)) == sorted(squad_words(answer)))


@pytest.mark.parametrize(
    ("said", "truth", "f1"),
    [
        ("the cat", "cat", 1),
        ("", "", 1),
        ("The", "a", 1),  # both without words
        ("cat", "the", 0),
        ("cat cat", "cat", 2 / 3),
        ("U.S.A.", "usa", 1),
        ("theatre", "the atre", 0),
        ("cat-dog", "cat dog", 0),
        ("one two three four", "two four six", 4 / 7),
    ],
)
def test_f1_cases(said: str, truth: str, f1: float) -> None:
    assert token_f1(said, truth) == pytest.approx(f1, abs=1e-12)


def test_f1_by_hand() -> None:
    # "red cat" against "red dog sat": one word shared, precision 1/2, recall 1/3.
    assert score(TokenF1(), words("bird", "the red dog sat"), "A red cat.") == pytest.approx(0.4)
    found = figures(TokenF1(), [words("a red cat"), words("dog")], says("Red cat!", "dogs"))
    assert found == {"F1": 0.5, "exact match": 0.5}


# Relaxed accuracy


@pytest.mark.parametrize(
    ("said", "truth", "right"),
    [
        ("105", "100", True),
        ("95", "100", True),
        ("94.9", "100", False),
        ("105.2", "100", False),
        ("-105", "-100", True),
        ("105", "-105", False),
        ("12%", "0.12", True),
        ("12 %", "12%", True),
        ("12%", "12", False),
        ("1e2", "100", True),
        ("0", "0", True),
        ("0.0", "0", False),  # zero has no five per cent
        ("0.01", "0", False),
        ("Blue", "blue", True),
        ("blue.", "blue", False),
        ("about 100", "100", False),
        ("1,000", "1000", False),
        ("nan", "nan", True),
        ("inf", "inf", True),
        ("inf", "100", False),
        (" 100\n", "100", True),
        ("", "100", False),
    ],
)
def test_relaxed(said: str, truth: str, right: bool) -> None:
    assert relaxed(said, truth) is right
    assert score(Relaxed(), words("elsewhere", truth), said) == right


@given(st.floats(-1e6, 1e6).filter(bool), st.floats(-0.2, 0.2))
def test_relaxed_is_within_its_tolerance(number: float, off: float) -> None:
    assume(abs(abs(off) - 0.05) > 1e-6)
    assert relaxed(repr(number * (1 + off)), repr(number)) == (abs(off) < 0.05)
    assert relaxed(repr(number * (1 + off)), repr(number), 0.3)


# ANLS


def test_anls_fixture(shared_data: Path) -> None:
    """Gold labels, submission and values of github.com/shunk031/ANLS."""
    folder = shared_data / "scorer-fixtures" / "anls"
    gold, submission, expected = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ("gold_label", "submission", "expected")
    )
    items = [words(*each["answers"], key=str(each["questionId"])) for each in gold["data"]]
    said = says(*(each["answer"] for each in submission))
    scores = Anls().scores(items, said)
    for item, found in zip(items, scores, strict=True):
        assert found == pytest.approx(expected["per_question"][item.key], abs=0.005)
    value = figures(Anls(), items, said)["ANLS"]
    assert value == pytest.approx(expected["overall"], abs=0.0005)
    assert value == pytest.approx(17 / 45, abs=1e-12)  # (8/9 + 1) / 5
    pairs = expected["single_pairs"]
    for case in pairs["cases"]:
        assert anls(case["prediction"], pairs["gold"]) == pytest.approx(case["anls"], abs=0.005)
        each = [anls(case["prediction"], [text], threshold=0) for text in pairs["gold"]]
        known = [case["similarity_to_first"], case["similarity_to_second"]]
        assert each == pytest.approx(known, abs=0.006)  # 4/17 is cut there, to 0.23


def test_anls_at_its_threshold_counts() -> None:
    assert anls("ab", ["ax"]) == 0.5
    assert anls("ab", ["axx"]) == 0
    assert anls("ab", ["axx"], threshold=0.3) == pytest.approx(1 / 3)


def test_anls_gives_nothing_for_padding() -> None:
    assert anls("b" + " " * 40, ["a"]) == 0
    assert anls(" Coca\n COLA ", ["coca cola"]) == 1


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_anls_is_bounded_and_leaves_order_aside(text: str, answers: list[str]) -> None:
    found = anls(text, answers)
    assert 0 <= found <= 1
    assert found == anls(text, answers[::-1]) == max(anls(text, [each]) for each in answers)
    assert anls(text, [text, *answers]) == 1
    assert anls(text, [answers[0]]) == anls(answers[0], [text])


# Edit distance and error rates


@given(TEXTS, TEXTS)
def test_edit_distance_is_levenshteins(a: str, b: str) -> None:
    assert edit_distance(a, b) == Levenshtein.distance(a, b)
    assert edit_distance(a.split(), b.split()) == Levenshtein.distance(a.split(), b.split())


def test_edit_distance_of_long_texts() -> None:
    a = "the quick brown fox jumps over the lazy dog " * 40
    b = a.replace("fox", "ox").replace("lazy ", "") + "again"
    assert edit_distance(a, b) == Levenshtein.distance(a, b)


PAIRS = [
    ("the cat sat on the mat", "the cat sat on a mat"),
    ("Total: 12.50", "Total 1250"),
    ("", "nothing was read"),
    ("much more was said than there is", "much"),
    ("same", "same"),
]


def test_error_rates_are_jiwers() -> None:
    said, truths = (list(each) for each in zip(*PAIRS, strict=True))
    items = [words(truth) for truth in truths]
    cer = figures(ErrorRate("character"), items, says(*said))
    wer = figures(ErrorRate("word"), items, says(*said))
    assert cer["CER"] == pytest.approx(jiwer.cer(truths, said), abs=1e-12)
    assert wer["WER"] == pytest.approx(jiwer.wer(truths, said), abs=1e-12)
    assert cer["exact match"] == wer["exact match"] == 0.2


@given(st.lists(st.tuples(TEXTS, TEXTS.filter(str.strip)), min_size=1, max_size=4))
def test_error_rates_are_jiwers_always(pairs: list[tuple[str, str]]) -> None:
    said, truths = (list(each) for each in zip(*pairs, strict=True))
    items = [words(truth) for truth in truths]
    cer = figures(ErrorRate("character"), items, says(*said))["CER"]
    wer = figures(ErrorRate("word"), items, says(*said))["WER"]
    assert cer == pytest.approx(jiwer.cer(truths, said), abs=1e-12)
    flat = ([" ".join(text.split()) for text in texts] for texts in (truths, said))
    assert wer == pytest.approx(jiwer.wer(*flat), abs=1e-12)


@pytest.mark.parametrize("unit", ["character", "word"])
def test_the_nearest_of_several_truths_counts(unit: Literal["character", "word"]) -> None:
    truth = words("a long sentence about nothing", "two dogs run")
    assert score(ErrorRate(unit), truth, "two dogs run") == 1
    assert figures(ErrorRate(unit), [truth], says("two dogs"))[ErrorRate(unit).name] < 0.5


def test_error_rates_name_what_is_better() -> None:
    items, said = [words("ab")], says("a")
    rate, exact = ErrorRate("character").tallies(items, said, [0.5])
    assert rate.higher_is_better is False
    assert exact.higher_is_better is True


def test_no_error_rate_of_an_empty_truth() -> None:
    with pytest.raises(DataError, match="q: has an empty answer"):
        score(ErrorRate("word"), words(" \n"), "a")
