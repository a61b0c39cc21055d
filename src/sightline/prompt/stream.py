"""Text as it is generated: whole characters only, and together exactly the whole decode."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

# A first token that no decoder changes and after which none strips anything.
ANCHOR = "a"
BYTE_PIECE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


class StreamDecoder:
    """Turns ids into text piece by piece: `push` each id, then `finish`.

    The joined pieces equal the decode of all ids. Text is held back while a character is
    unfinished, and while a run of byte pieces lasts (what such a run decodes to depends on all of
    it). A decoder whose pieces do not join plainly holds everything until `finish`.
    """

    def __init__(
        self,
        piece_of: Callable[[int], str | None],
        join: Callable[[list[str]], str],
        *,
        plain: bool,
    ) -> None:
        """`piece_of` gives an id's token (None: skip it), `join` the text of tokens."""
        self._piece_of, self._join, self._plain = piece_of, join, plain
        self._started = False
        self._held: list[str] = []

    def push(self, id_: int) -> str:
        """The text that has become certain with this id, often empty."""
        if (piece := self._piece_of(id_)) is None:
            return ""
        self._held.append(piece)
        if not self._plain or BYTE_PIECE.fullmatch(piece):
            return ""
        text = self._text()
        if text.endswith("\N{REPLACEMENT CHARACTER}") or not self._continued():
            return ""
        self._started = True
        self._held.clear()
        return text

    def finish(self) -> str:
        """What is left; unfinished characters become U+FFFD. The decoder starts anew."""
        text = self._text() if self._held else ""
        self._started = False
        self._held.clear()
        return text

    def _text(self) -> str:
        return self._continued() if self._started else self._join(self._held)

    def _continued(self) -> str:
        """The held tokens as text that follows other text."""
        return self._join([ANCHOR, *self._held])[len(ANCHOR) :]


def joins_plainly(decoder: dict[str, Any] | None) -> bool:
    """Whether a decoder (of tokenizer.json) gives the same text for tokens decoded in two parts,
    apart from what it strips at the very start."""
    if decoder is None:
        return True
    match decoder["type"]:
        case "Sequence":
            return all(joins_plainly(part) for part in decoder["decoders"])
        case "Replace":
            return len(decoder["pattern"].get("String", "")) == 1
        case "Strip":
            return not decoder["stop"]
        case "ByteLevel" | "ByteFallback" | "Fuse" | "Metaspace" | "WordPiece":
            return True
    return False
