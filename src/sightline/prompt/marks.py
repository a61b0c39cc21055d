"""Private marks around content, so that a rendered template says who wrote each character.

A text is marked around its stripped core, so that a template may trim it. Marks are characters of
Unicode's private planes that occur nowhere in the conversation and the template: content cannot
forge them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sightline.core.errors import PromptError

PRIVATE = range(0xF0000, 0x10FFFE)
# What `trim` removes; one that the conversation does not use shows whether a template trims.
SPACES = "\x1f\x1e\x1d\x1c\u205f\u2028\u2029\u2008\u2006\u2005\u2004"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A text part: what it says without the white space around it, and that white space."""

    message: int
    lead: str
    core: str
    trail: str

    @classmethod
    def of(cls, message: int, text: str) -> Leaf:
        core = text.strip()
        before = len(text) - len(text.lstrip()) if core else len(text)
        return cls(message, text[:before], core, text[before + len(core) :])

    @property
    def text(self) -> str:
        return self.lead + self.core + self.trail


class Occurrence(NamedTuple):
    """Where the core of a leaf stands in the rendered text."""

    leaf: int
    start: int
    stop: int


class Marks:
    """An opening and a closing mark for each leaf, and one mark for each picture or clip."""

    def __init__(self, leaves: Sequence[Leaf], num_media: int, others: Iterable[str]) -> None:
        """`others`: further texts whose characters are not to be used (the template)."""
        self._leaves = leaves
        used = {char for leaf in leaves for char in leaf.text}.union(*others)
        self._first = _free_run({ord(char) for char in used}, 2 * len(leaves) + num_media)
        self._last = self._first + 2 * len(leaves) + num_media
        self.space = next((char for char in SPACES if char not in used), None)
        self._any = re.compile(f"[{chr(self._first)}-{chr(self._last)}]")

    def marked(self, index: int) -> str:
        """A leaf with its core between marks; without a core it stays as it is."""
        leaf = self._leaves[index]
        return leaf.lead + self._wrapped(index) + leaf.trail if leaf.core else leaf.text

    def probing(self, index: int) -> str:
        """A leaf with marks whose outer white space is one character that nobody uses."""
        leaf = self._leaves[index]
        if not leaf.core or self.space is None:
            return self.marked(index)
        lead, trail = (self.space if part else "" for part in (leaf.lead, leaf.trail))
        return lead + self._wrapped(index) + trail

    def media(self, index: int) -> str:
        """The mark of a picture or clip."""
        return chr(self._first + 2 * len(self._leaves) + index)

    def unmark(self, text: str, media: Sequence[str]) -> tuple[str, list[Occurrence]]:
        """The text without marks, pictures and clips as `media` names them, and where each core
        stands.

        Raises PromptError where a core is changed, torn apart or lost.
        """
        pieces: list[str] = []
        found: list[Occurrence] = []
        position = size = 0
        opened: tuple[int, int] | None = None
        for mark in self._any.finditer(text):
            pieces.append(text[position : mark.start()])
            size += mark.start() - position
            position = mark.end()
            index, closes = divmod(ord(mark.group()) - self._first, 2)
            item = ord(mark.group()) - self._first - 2 * len(self._leaves)
            if item >= 0:
                pieces.append(media[item])
                size += len(media[item])
            elif not closes and opened is None:
                opened = index, size
            elif closes and opened is not None and opened[0] == index:
                found.append(self._checked(Occurrence(index, opened[1], size), pieces[-1]))
                opened = None
            else:
                raise self._changed(index)
        if opened is not None:
            raise self._changed(opened[0])
        return "".join([*pieces, text[position:]]), found

    def _checked(self, where: Occurrence, text: str) -> Occurrence:
        if text != self._leaves[where.leaf].core:
            raise self._changed(where.leaf)
        return where

    def _changed(self, leaf: int) -> PromptError:
        problem = f"changes the text of message {self._leaves[leaf].message}"
        fix = "its words cannot be told from the template's: rephrase, or give another template"
        return PromptError("chat template", problem, fix)

    def _wrapped(self, index: int) -> str:
        first = self._first + 2 * index
        return chr(first) + self._leaves[index].core + chr(first + 1)


def _free_run(used: set[int], count: int) -> int:
    """The first of `count` + 1 private characters in a row that are not used."""
    start = PRIVATE.start
    for taken in [*sorted(code for code in used if code in PRIVATE), PRIVATE.stop]:
        if taken - start > count:
            return start
        start = taken + 1
    raise PromptError(
        "messages", "leave no private Unicode characters free", "use fewer of U+F0000 to U+10FFFD"
    )
