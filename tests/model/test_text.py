"""Answers as they grow: stop strings across token borders, whole characters, reasons to end."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.speaking import END, tokenizer

from sightline.model.text import Finish, TextStream

TOKENIZER = tokenizer()
LETTERS = st.text("abc", max_size=14)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3).map(tuple)


class Pieces:
    """Token i is the text `pieces[i]`; the last `late` tokens come out only at the end."""

    def __init__(self, pieces: list[str], late: int = 0) -> None:
        self.pieces, self.certain = pieces, len(pieces) - late
        self.kept = ""

    def push(self, id_: int, /) -> str:
        if id_ < self.certain:
            return self.pieces[id_]
        self.kept += self.pieces[id_]
        return ""

    def finish(self) -> str:
        return self.kept


def oracle(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """Character after character; the first moment at which a stop string stands at the end."""
    for n in range(len(text) + 1):
        if whole := [stop for stop in stops if text[:n].endswith(stop)]:
            return text[: n - max(map(len, whole))], True
    return text, False


@given(text=LETTERS, stops=STOPS, cuts=st.lists(st.integers(0, 14)), late=st.integers(0, 3),
       stopped=st.booleans())  # fmt: skip
@settings(max_examples=400)
def test_pieces_join_to_the_oracles_text(
    text: str, stops: tuple[str, ...], cuts: list[int], late: int, stopped: bool
) -> None:
    """Wherever tokens begin and whatever the decoder holds back."""
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    stream = TextStream(Pieces(pieces, min(late, len(pieces))), stops, {END + 1000})
    wanted, found = oracle(text, stops)
    shown = ""
    for id_ in range(len(pieces)):
        shown += stream.push(id_)
        assert wanted.startswith(shown)
    shown += stream.push(END + 1000) if stopped else stream.close()
    finish: Finish = "stop" if found or stopped else "length"
    assert (shown, stream.text, stream.finish) == (wanted, wanted, finish)
    assert stream.push(0) == stream.close() == ""


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=12), cut=st.integers(0, 40))
def test_characters_are_never_broken(text: str, cut: int) -> None:
    """Bytes of one character lie in several tokens; an answer cut inside one ends in U+FFFD."""
    ids = TOKENIZER.encode_text(text)[: cut or None]
    stream = TextStream(TOKENIZER.stream(), (), (END,))
    pieces = [stream.push(id_) for id_ in ids]
    certain = "".join(pieces)
    assert text.startswith(certain)
    whole = certain + stream.close()
    assert whole == stream.text == TOKENIZER.decode(ids)
    assert stream.finish == "length"


def test_a_stop_string_that_is_said_with_the_stop_token() -> None:
    stream = TextStream(Pieces(["one ", "EN", "D two"], late=2), ("END",), {7})
    assert [stream.push(0), stream.push(1), stream.push(2), stream.push(7)] == ["one ", "", "", ""]
    assert (stream.text, stream.finish) == ("one ", "stop")
