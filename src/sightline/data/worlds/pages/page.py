"""Pages: what one says, how documents are sampled, and their pixels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sightline.core.errors import DataError

Value = TypeVar("Value")
WORDS: tuple[str, ...] = (
    "anchor",
    "bridge",
    "candle",
    "feather",
    "garden",
    "hammer",
    "island",
    "lantern",
    "mirror",
    "needle",
    "pebble",
    "ribbon",
    "saddle",
    "temple",
    "violin",
    "window",
)
MAX_PAGES = len(WORDS)
WIDTH, HEIGHT = 320, 420

_FILLER = (
    "the of and to in is was for on with as by at from this that were are which but had not have "
    "been their its one all no there can more if who so what up out them then some could made time"
).split()
_MARGIN, _LINE = 28, 22
_LINES, _LINE_WORDS = 11, 7
_HEAD_PX, _KEY_PX, _TEXT_PX = 22, 20, 13
_PAPER, _INK, _GREY = (250, 249, 245), (20, 20, 24), (150, 150, 150)


@dataclass(frozen=True, slots=True)
class Page:
    """Its number, its word, and lines of words that say nothing; the word's stands before `at`."""

    number: int
    word: str
    lines: tuple[str, ...]
    at: int

    @property
    def sentence(self) -> str:
        """How the page says its word."""
        return f"The word of this page: {self.word}"


@dataclass(frozen=True, slots=True)
class Document:
    """Pages 1 to n, no two of which have the same word."""

    pages: tuple[Page, ...]

    def question(self, number: int) -> str:
        return f"What is the word of page {number}?"


def document(seed: int, index: int, num_pages: int) -> Document:
    """Document number `index` of the endless series `seed`; depends on nothing else. Raises
    DataError for more pages than there are words."""
    _check(num_pages)
    rng = random.Random(f"pages/{seed}/{index}/{num_pages}")
    return _document(rng, rng.sample(WORDS, num_pages))


def heldout(seed: int, index: int, num_pages: int) -> tuple[Document, Page]:
    """A document and the page to ask about, from a series that is independent of `document`'s.

    Consecutive indices take turns through pages, and through the words of the page that is asked
    about, in orders drawn for every lap. Raises DataError as `document` does.
    """
    _check(num_pages)
    rng = random.Random(f"held-out pages/{seed}/{index}/{num_pages}")
    word = _turn(WORDS, f"words/{seed}/{num_pages}", index)
    at = _turn(range(num_pages), f"numbers/{seed}/{num_pages}", index)
    words = rng.sample([other for other in WORDS if other != word], num_pages - 1)
    paper = _document(rng, [*words[:at], word, *words[at:]])
    return paper, paper.pages[at]


def _check(num_pages: int) -> None:
    if not 1 <= num_pages <= MAX_PAGES:
        raise DataError("num_pages", f"is {num_pages}", f"use 1 to {MAX_PAGES}")


def _turn(values: Sequence[Value], series: str, index: int) -> Value:
    lap, at = divmod(index, len(values))
    order = list(values)
    random.Random(f"held-out pages/{series}/{lap}").shuffle(order)
    return order[at]


def _document(rng: random.Random, words: Sequence[str]) -> Document:
    return Document(tuple(_page(rng, number, word) for number, word in enumerate(words, 1)))


def _page(rng: random.Random, number: int, word: str) -> Page:
    lines = tuple(" ".join(rng.choices(_FILLER, k=_LINE_WORDS)) for _ in range(_LINES))
    return Page(number, word, lines, rng.randrange(_LINES + 1))


def draw(page: Page) -> NDArray[np.uint8]:
    """uint8[420, 320, 3], RGB: dark letters on paper."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((_MARGIN, _MARGIN), f"Page {page.number}", fill=_INK, font=_font(_HEAD_PX))
    rows = [(line, _GREY, _TEXT_PX) for line in page.lines]
    rows.insert(page.at, (page.sentence, _INK, _KEY_PX))
    y = _MARGIN + 2 * _LINE
    for text, colour, size in rows:
        pen.text((_MARGIN, y), text, fill=colour, font=_font(size))
        y += _LINE + (size - _TEXT_PX)
    return np.array(canvas)


@lru_cache(maxsize=4)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font. Raises DataError where Pillow has no FreeType and so no sizes."""
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise DataError("pillow", "was built without FreeType", "install Pillow from its wheel")
    return font
