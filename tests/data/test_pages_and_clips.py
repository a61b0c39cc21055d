"""Pages say their words, clips show what they hold: found again in the pixels."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sightline.core.errors import DataError
from sightline.data.worlds import clips, pages, scenes
from sightline.data.worlds.clips import Clip, Event
from sightline.data.worlds.pages import WORDS, document


def test_no_two_pages_have_one_word() -> None:
    for number in range(20):
        paper = document(0, number, 8)
        assert [page.number for page in paper.pages] == list(range(1, 9))
        assert len({page.word for page in paper.pages}) == 8
        assert all(page.word not in " ".join(page.lines).split() for page in paper.pages)
    assert document(0, 3, 4) == document(0, 3, 4) != document(1, 3, 4)


def test_words_come_evenly() -> None:
    found = Counter(document(0, number, 2).pages[1].word for number in range(1600))
    assert all(60 <= found[word] <= 140 for word in WORDS)  # 100, four standard deviations


@pytest.mark.parametrize("count", [1, 4, 16])
def test_pages_that_are_asked_about_come_in_turn_and_so_do_their_words(count: int) -> None:
    found = [pages.heldout(3, number, count) for number in range(32)]
    assert found == [pages.heldout(3, number, count) for number in range(32)]
    assert all(page == paper.pages[page.number - 1] for paper, page in found)
    assert all(len({one.word for one in paper.pages}) == count for paper, _ in found)
    assert Counter(page.word for _, page in found) == dict.fromkeys(WORDS, 2)
    numbers = Counter(page.number for _, page in found)
    assert numbers == dict.fromkeys(range(1, count + 1), 32 // count)
    assert pages.heldout(4, 0, count) != found[0]
    trained = {document(3, number, count) for number in range(200)}
    assert not trained & {paper for paper, _ in found}


def test_only_the_word_and_the_number_tell_pages_apart() -> None:
    page = document(0, 0, 2).pages[0]
    pixels = pages.draw(page).astype(int)
    assert (pixels == pages.draw(page)).all()
    for other in (word for word in WORDS if word != page.word):
        rows = np.nonzero((pages.draw(replace(page, word=other)) != pixels).any((1, 2)))[0]
        top = 28 + 2 * 22 + 22 * page.at  # margin, heading, lines of 22 pixels
        assert len(rows) and top <= rows.min() and rows.max() < top + 30
    rows = np.nonzero((pages.draw(replace(page, number=2)) != pixels).any((1, 2)))[0]
    assert len(rows) and rows.max() < 60


@pytest.mark.parametrize("word", WORDS)
def test_every_word_fits(word: str) -> None:
    page = replace(document(0, 0, 1).pages[0], word=word)
    dark = pages.draw(page).max(2) < 100
    assert dark.any() and not dark[:, -12:].any()


def test_a_document_of_too_many_pages_is_refused() -> None:
    for count in (0, len(WORDS) + 1):
        for made in (document, pages.heldout):
            with pytest.raises(DataError, match="use 1 to 16"):
                made(0, 0, count)


def staged(start: int, stop: int) -> Clip:
    made = scenes.scene(0, 1)
    return Clip(8, made.backdrop, (Event(made.things[0], start, stop),))


def test_what_happens_is_in_its_frames_and_in_no_other() -> None:
    rng = random.Random(0)
    for _ in range(5):
        start = rng.randrange(8)
        stop = rng.randint(start + 1, 8)
        shown = staged(start, stop)
        empty = scenes.draw(scenes.Scene((), shown.ground), 64)
        seen = [bool((clips.frame(shown, n, 64) != empty).any()) for n in range(8)]
        assert seen == [start <= n < stop for n in range(8)]


def test_what_is_not_in_a_clip_is_refused() -> None:
    for start, stop in ((-1, 3), (3, 3), (4, 9)):
        with pytest.raises(DataError, match="event"):
            staged(start, stop)
    with pytest.raises(DataError, match="frame"):
        clips.frame(staged(0, 1), 8, 64)
