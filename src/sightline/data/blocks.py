"""Blocks of streams, read one ahead by a process of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from sightline.core.errors import DataError
from sightline.data.mix import Block, by_number
from sightline.data.sample import Sample
from sightline.data.source import Source, Stream
from sightline.data.workers import Hands, Ticket, hands

Wanted = tuple[int, int, int]  # which source, from which row, how many rows


@dataclass
class Reader:
    """Reads streams on from where it stands, or anew from any row."""

    sources: Sequence[Source | Stream]
    _open: dict[int, tuple[int, Iterator[Sample | DataError]]] = field(default_factory=dict)

    def __call__(self, wanted: Wanted) -> Block:
        """The rows, fewer where the stream ends."""
        source, start, count = wanted
        at, rows = self._open.pop(source, (-1, iter(())))
        if at != start:
            rows = cast(Stream, self.sources[source]).samples(start)
        block = list(islice(rows, count))
        if len(block) == count:
            self._open[source] = (start + count, rows)
        return block


class Blocks:
    """What a mixture reads streams through; the block that follows is asked for at once.

    All streams share one process, as each must be read by one and in order.
    """

    def __init__(self, sources: Sequence[Source | Stream], workers: int) -> None:
        streams = any(not by_number(source) for source in sources)
        self._hands: Hands = hands(Reader(sources), 1 if workers and streams else 0)
        self._asked: dict[int, tuple[Wanted, Ticket]] = {}

    def read(self, source: int, start: int, count: int) -> Block:
        """A block. Raises what the stream does."""
        wanted = (source, start, count)
        asked, ticket = self._asked.pop(source, (None, None))
        if asked != wanted or ticket is None:
            ticket = self._hands.submit(wanted)
        block: Block = ticket.result()
        follows = (source, start + count if len(block) == count else 0, count)
        self._asked[source] = (follows, self._hands.submit(follows))
        return block

    def close(self) -> None:
        """End the process."""
        self._hands.close()
