"""Added tokens: the strings that a tokenizer cuts out of text before its model sees it.

They follow the rules of the `tokenizers` library (leftmost, then longest; spaces stripped on
request; whole words on request) with one more: a token counts only where its caller allows it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token outside the model's own splitting.

    `special` ones are control: only a template writes them. `normalized` ones are looked for in
    the normalised text. `lstrip` and `rstrip` swallow white space around the token.
    """

    id: int
    text: str
    special: bool = True
    normalized: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AddedToken:
        """An entry of `added_tokens` in tokenizer.json."""
        special = bool(data.get("special", False))
        return cls(
            id=int(data["id"]),
            text=data["content"],
            special=special,
            normalized=bool(data.get("normalized", not special)),
            lstrip=bool(data.get("lstrip", False)),
            rstrip=bool(data.get("rstrip", False)),
            single_word=bool(data.get("single_word", False)),
        )

    def to_json(self) -> dict[str, Any]:
        """The entry of `added_tokens` in tokenizer.json."""
        return {
            "id": self.id,
            "content": self.text,
            "single_word": self.single_word,
            "lstrip": self.lstrip,
            "rstrip": self.rstrip,
            "normalized": self.normalized,
            "special": self.special,
        }

    @property
    def is_space(self) -> bool:
        """White space that is not control (Phi-2's runs of spaces): harmless wherever it stands."""
        return not self.special and all(char in WHITE_SPACE for char in self.text)


class Match(NamedTuple):
    """An added token at text[start:stop], swallowed spaces included."""

    token: AddedToken
    start: int
    stop: int


Allowed = Callable[[AddedToken, int, int], bool]


class Matcher:
    """Finds added tokens under the given spellings (their texts, or their normalised texts)."""

    def __init__(self, spellings: Iterable[tuple[str, AddedToken]]) -> None:
        self._by_first: dict[str, list[tuple[str, AddedToken]]] = {}
        for text, token in sorted(spellings, key=lambda item: len(item[0]), reverse=True):
            if text:
                self._by_first.setdefault(text[0], []).append((text, token))
        firsts = "".join(map(re.escape, self._by_first))
        self._first = re.compile(f"[{firsts}]") if firsts else None

    def __bool__(self) -> bool:
        return bool(self._by_first)

    def find(self, text: str, allowed: Allowed) -> Iterator[Match]:
        """Matches in order. `allowed(token, start, stop)` is asked about the bare token."""
        position = swallowed = 0
        while found := self._first.search(text, position) if self._first else None:
            start = found.start()
            if (hit := self._longest(text, start, allowed)) is None:
                position = start + 1
                continue
            spelling, token = hit
            position = stop = start + len(spelling)
            if token.single_word and _inside_word(text, start, stop):
                continue
            if token.lstrip:
                start = max(swallowed, len(text[:start].rstrip(WHITE_SPACE)))
            if token.rstrip:
                stop = len(text) - len(text[stop:].lstrip(WHITE_SPACE))
            swallowed = stop
            yield Match(token, start, stop)

    def _longest(self, text: str, start: int, allowed: Allowed) -> tuple[str, AddedToken] | None:
        for spelling, token in self._by_first[text[start]]:
            if text.startswith(spelling, start) and allowed(token, start, start + len(spelling)):
                return spelling, token
        return None


def gaps(matches: Iterable[Match], length: int) -> list[tuple[int, int]]:
    """What lies between the matches: non-empty (start, stop) pairs."""
    found, end = [], 0
    for match in matches:
        if end < match.start:
            found.append((end, match.start))
        end = match.stop
    return [*found, (end, length)] if end < length else found


def _inside_word(text: str, start: int, stop: int) -> bool:
    before = start > 0 and _in_word(text[start - 1])
    return before or (stop < len(text) and _in_word(text[stop]))


def _in_word(char: str) -> bool:
    r"""What `\w` is to the `tokenizers` library."""
    kind = unicodedata.category(char)
    return kind[0] in "LM" or kind in ("Nd", "Nl", "Pc") or char in "\u200c\u200d"
