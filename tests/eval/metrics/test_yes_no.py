"""Yes and no: how answers are read, and the figures of POPE."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.metrics.made import figures, says, score, words

from sightline.core.errors import DataError
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.yes_no import YesNo

ROUNDS = st.lists(
    st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from(["Yes.", "no", "who knows"])),
    min_size=1,
    max_size=20,
)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("yes", "yes"),
        ("No.", "no"),
        ("**Yes**", "yes"),
        ("y", "yes"),
        ("N", "no"),
        ("Yes, there is no cat", "yes"),
        ("The answer is yes.", "yes"),
        ("I would say no", "no"),
        ("There is no dog in the picture. Yes?", "no"),
        ("There isn't a dog.", "no"),
        ("There is not a dog.", "no"),
        ("There are not any dogs.", "no"),
        ("There is a dog in the image.", None),
        ("It is yes or no", None),
        ("I am not sure", None),
        ("I do not know", None),
        ("north", None),
        ("Nothing", None),
        ("eyes", None),
        ("None", None),
        ("", None),
        ("?", None),
        ("It is a cat. No dogs are there.", None),
        # said of the answer, wherever that is
        ("Answer: Y", "yes"),
        ("Answer: n.", "no"),
        ("It barks. There is a tail.\nSo the answer is yes.", "yes"),
        ("Since there is no dog, the answer is no.", "no"),
        ("There is no dog. Answer: yes", "yes"),
        ("Well, yes", "yes"),
        ("I think so, yes.", "yes"),
        # one thing is denied, and none named instead
        ("The image does not show a dog", "no"),
        ("The picture doesn't contain any dogs.", "no"),
        ("There's not a dog", "no"),
        ("There is no one in the room.", "no"),
        ("I don't see any dogs.", "no"),
        ("No dogs are visible.", "no"),
        ("No dogs.", "no"),
        ("A dog is not present.", "no"),
        # the negation belongs to something else
        ("There is a person, who is not wearing a hat.", None),
        ("There is a dog with no collar.", None),
        ("There is a man without a hat, not a woman.", None),
        ("No doubt, there is a dog.", None),
        ("No doubt there is a dog.", None),
        ("No problem!", None),
        ("I have no idea.", None),
        ("There is no way to tell.", None),
        ("There is no clear view of the dog.", None),
        ("The image does not show a clear dog.", None),
        ("There is bus no. 5.", None),
        ("The sign says no entry.", None),
        ("The sign says yes", None),
        ('"No" is written on the sign.', None),
        ("There is not only a dog but a cat.", None),
        # a denied word, or both
        ("I would not say yes.", None),
        ("The answer is not yes", None),
        ("The wrong answer is no", None),
        ("I don't think there is no dog.", None),
        ("If there is no dog, it is a cat.", None),
        ("I can't say whether there is no dog", None),
        ("There is no dog, but there is a cat.", None),
        ("There is no dog, only a cat.", None),
        ("yes or no", None),
        ("Yes/No", None),
        ("yes and no", None),
        ("The answer is yes or no", None),
        ("The answer is yes if it barks", None),
        ("No, there are two; yes", None),
        ("No. Wait: yes.", None),
        ("No, it barks. The answer is yes.", None),
        ("n/a", None),
    ],
)
def test_reading(text: str, heard: str | None) -> None:
    assert yes_or_no(text) == heard


def test_figures_by_hand() -> None:
    truths = ["yes", "yes", "yes", "no", "no", "yes", "no", "no", "yes"]
    spoken = ["Yes", "yes.", "No", "yes", "no", "perhaps", "no", "who knows", "no"]
    items = [words(truth, key=str(n)) for n, truth in enumerate(truths)]
    found = figures(YesNo(), items, says(*spoken))
    assert found == pytest.approx(
        {
            "accuracy": 4 / 9,
            "precision": 2 / 3,  # yes was said three times
            "recall": 2 / 5,  # yes was right five times
            "F1": 4 / 8,
            "yes-share": 3 / 9,
            "unparsed": 2 / 9,
        }
    )


def test_figures_without_any_yes_are_undefined() -> None:
    found = figures(YesNo(), [words("no")], says("no"))
    assert found["accuracy"] == 1
    assert all(math.isnan(found[name]) for name in ("precision", "recall", "F1"))


@given(ROUNDS)
def test_f1_is_the_harmonic_mean(rounds: list[tuple[str, str]]) -> None:
    items = [words(truth) for truth, _ in rounds]
    found = figures(YesNo(), items, says(*(text for _, text in rounds)))
    precision, recall = found["precision"], found["recall"]
    if precision > 0 and recall > 0:
        assert found["F1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert found["accuracy"] + found["unparsed"] <= 1 + 1e-12
    assert all(0 <= value <= 1 for value in found.values() if not math.isnan(value))


def test_what_is_better() -> None:
    better = {t.name: t.higher_is_better for t in YesNo().tallies([words("no")], says("no"), [1])}
    assert better["F1"] is True
    assert better["yes-share"] is None and better["unparsed"] is None


def test_a_truth_that_is_neither() -> None:
    with pytest.raises(DataError, match="q: has the answer 'maybe', not yes or no"):
        score(YesNo(), words("maybe"), "yes")
    with pytest.raises(DataError, match="'no, yes'"):
        score(YesNo(), words("yes", "No"), "yes")
