"""From token ids to text as it is spoken: whole characters, stop strings, a reason to end."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

Finish = Literal["stop", "length"]


class PieceDecoder(Protocol):
    """Turns ids into text one at a time, holding back unfinished characters."""

    def push(self, id_: int, /) -> str: ...
    def finish(self) -> str: ...


class TextStream:
    """The text of one answer, safe to show as it grows.

    Text that could be the beginning of a stop string is held back until it is decided; the stop
    string itself is not part of the answer.
    """

    def __init__(self, decoder: PieceDecoder, stop: tuple[str, ...], stop_ids: Collection[int]):
        self.decoder, self.stop, self.stop_ids = decoder, stop, frozenset(stop_ids)
        self.text, self._held = "", ""
        self.finish: Finish | None = None

    def push(self, token_id: int) -> str:
        """The text that this token makes certain; sets `finish` where the answer ends."""
        if self.finish is not None:
            return ""
        if token_id in self.stop_ids:
            return self._end("stop")
        return self._decide(self._held + self.decoder.push(token_id))

    def close(self) -> str:
        """The rest, when no more tokens come."""
        return "" if self.finish is not None else self._end("length")

    def _end(self, finish: Finish) -> str:
        """Everything held back, up to a stop string in it."""
        piece = self._decide(self._held + self.decoder.finish())
        if self.finish is None:
            self.finish = finish
            piece += self._emit(self._held)
        return piece

    def _decide(self, waiting: str) -> str:
        """Of several stop strings the one that is whole first ends the answer, so that the answer
        does not depend on where tokens begin."""
        found = [(waiting.find(stop), stop) for stop in self.stop if stop in waiting]
        if found:
            self.finish = "stop"
            _, at = min((at + len(stop), at) for at, stop in found)
            return self._emit(waiting[:at])
        keep = max((_overlap(waiting, stop) for stop in self.stop), default=0)
        piece = self._emit(waiting[: len(waiting) - keep])
        self._held = waiting[len(waiting) - keep :]
        return piece

    def _emit(self, piece: str) -> str:
        self.text, self._held = self.text + piece, ""
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop` without being all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
