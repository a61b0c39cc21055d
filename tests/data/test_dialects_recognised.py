"""Dialects are told from keys and shapes, and never by a silent choice between two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.data.dialect_rows import (
    CONVERSATIONS,
    HERE,
    JUDGED,
    PAIRS,
    PROMPTS,
    SLOT,
    chat,
    gpt,
    text,
)

from sightline.core.errors import DataError
from sightline.data.dialects import read_row, recognise

CASES = {
    f"{kind}: {name}": case
    for kind, cases in (("", CONVERSATIONS), ("pair", PAIRS), ("kto", JUDGED), ("ask", PROMPTS))
    for name, case in cases.items()
}


@pytest.mark.parametrize("name", CASES)
def test_a_row_is_recognised(name: str) -> None:
    dialect, row, sample = CASES[name]
    found = recognise([row])
    assert found == dialect
    assert read_row(found, row, HERE) == sample


def test_rows_without_media_are_of_the_first_dialect_that_reads_them() -> None:
    assert recognise([{"messages": chat("Q", "A")}]) == "openai"
    assert recognise([{"conversations": gpt("Q", "A")}]) == "llava"


def test_one_row_with_media_decides_for_those_without() -> None:
    plain = {"messages": chat("Q", "A"), "images": []}
    marked = {"messages": chat("<image>Q", "A"), "images": ["a.png"]}
    bare = {"messages": chat("Q", "A"), "images": ["a.png"]}
    slots = {"messages": chat([SLOT, text("Q")], "A"), "images": ["a.png"]}
    held = {"messages": chat([{"type": "image", "path": "a.png"}], "A")}
    assert recognise([plain, marked]) == "swift"
    assert recognise([plain, bare]) == "trl"
    assert recognise([bare, slots]) == "trl"
    assert recognise([plain, held]) == "openai"
    listed = {"conversations": gpt("<image>Q", "A"), "images": ["a.png"]}
    assert recognise([{"conversations": gpt("Q", "A")}, listed]) == "sharegpt"


def test_names_of_speakers_that_are_no_text_fit_no_dialect() -> None:
    good = {"conversations": gpt("Q", "A"), "image": "a.png"}
    for name in ([], {}, 7):
        row = {"conversations": [{"from": name, "value": "Q"}]}
        assert recognise([row, good]) == "llava"
        with pytest.raises(DataError, match=r"conversations.0.from: .* is unknown"):
            read_row("llava", row, HERE)


def test_arrays_are_compared_as_they_are() -> None:
    pictures = [np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)]
    assert (
        recognise([{"messages": chat([SLOT, SLOT, text("Q")], "A"), "images": pictures}]) == "trl"
    )
    assert recognise([{"image": pictures[0], "text": "A"}]) == "caption"


def test_damaged_rows_do_not_hide_what_the_others_are() -> None:
    good = {"image": "a.png", "conversations": gpt("<image>\nQ", "A")}
    truncated = {"image": "a.png", "conversations": gpt("<image>\nQ")}
    assert recognise([good, {"conversations": None}, {}, {"image": "a.png"}, good]) == "llava"
    assert recognise([good, truncated]) == "llava"


REFUSED: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "nothing": ([], ["have the keys nothing", "fit no dialect", "one of llava, finevision"]),
    "unknown": ([{"q": "Q", "a": "A"}], ["keys q, a", "fit no dialect", "columns"]),
    "raw text": ([{"text": "A text to continue."}], ["fit no dialect"]),
    "two kinds": (
        [{"image": "a.png", "text": "A"}, {"instruction": "I", "output": "O"}],
        ["different dialects: caption; alpaca", "source of its own"],
    ),
    "two readings": (
        [{"messages": chat("Is <image> a word?", "A")}, {"messages": chat("Q", "A")}],
        ["read differently as openai and swift", "name the dialect"],
    ),
    "beside and inside": (
        [
            {"messages": chat("Q", "A"), "images": ["a.png"]},
            {"messages": chat("<image>", "A"), "images": ["a.png"]},
        ],
        ["different dialects: trl; swift"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_is_refused(name: str) -> None:
    rows, said = REFUSED[name]
    with pytest.raises(DataError) as caught:
        recognise(rows)
    for words in said:
        assert words in str(caught.value)
