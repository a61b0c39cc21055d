"""MMMU's open answers: what counts as said. The cases were checked with its own script."""

from __future__ import annotations

import pytest

from sightline.eval.item import Answers, Choice, Item
from sightline.eval.metrics.mmmu import Mmmu, open_right
from sightline.eval.said import Said


@pytest.mark.parametrize(
    ("truth", "text", "right"),
    [
        ("1.5", "The slope is 1.5.", True),
        ("1.5", "So 3/2 = 1.504", True),  # two decimals
        ("1.5", "It is 15", False),
        ("24", "The final result is 24 apples.", True),
        ("24", "twenty-four", False),
        ("1500", "1,500", True),
        ("24", "x is y\nso 24", True),  # of each line, the end
        ("red", "the wall is red. It is old", False),  # ... behind the last key word of it
        ("red", "It is red = blue", False),  # behind `=`
        ("red", "It is red = blue\nas said", True),  # ... but in the last line alone
        ("red", "The answer is \nred", False),  # `is` stands behind `answer`
        ("B", "cab", False),  # a single letter begins or ends a word
        ("B", "A bee", True),
        ("Red Blood Cells", "The answer is: red blood cells", True),
        ("cells", "so it is", False),
    ],
)
def test_open_answers(truth: str, text: str, right: bool) -> None:
    assert open_right([truth], text) is right


def test_any_of_several_answers() -> None:
    assert open_right(["4", "four"], "It is four")
    assert not open_right(["4", "four"], "It is five")


def test_options_are_read_by_letter() -> None:
    item = Item("k", ("?",), Choice(("a cat", "a dog"), 1))
    words = Item("w", ("?",), Answers(("24",)))
    metric = Mmmu()
    assert metric.scores([item, item, words], [Said("(B)"), Said("perhaps"), Said("24")]) == [
        1,
        0,
        1,
    ]
    names = [tally.name for tally in metric.tallies([item, words], [Said("B")] * 2, [1.0, 0.0])]
    assert names == ["accuracy", "multiple choice", "open"]
    assert [t.name for t in metric.tallies([item], [Said("B")], [1.0])] == ["accuracy"]
