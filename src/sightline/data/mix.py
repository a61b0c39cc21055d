"""Several sources as one endless sequence of rows, whose order follows from position and seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.data.sample import Sample
from sightline.data.source import Source, Stream
from sightline.data.sources import Opened, open_source
from sightline.data.turns import Turns
from sightline.spec.train import DataSpec, HubSpec, MixtureSpec

BLOCK_ROWS = 1000  # of a stream that does not say how many are shuffled together


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is read by number: of which source of the mixture."""

    source: int
    index: int


# A row of a stream comes as what was read there: a sample, or what is wrong with it.
Item = Row | Sample | DataError
Block = Sequence[Sample | DataError]


@dataclass(frozen=True, slots=True)
class Entry:
    """One source of a mixture. block_rows: rows of a stream that are shuffled together."""

    source: Source | Stream
    weight: float | None = None
    repeat: float = 1.0
    block_rows: int = BLOCK_ROWS
    notes: tuple[str, ...] = ()

    @property
    def num_rows(self) -> int | None:
        """None for an endless world, and for a stream, whose end is not known."""
        return self.source.num_rows if by_number(self.source) else None


def by_number(source: Source | Stream) -> TypeGuard[Source]:
    """Whether rows can be read in any order."""
    return hasattr(source, "sample")


@dataclass(frozen=True)
class Mixture:
    """Draw n is row j of source k, (k, j) being a function of n.

    Turns among the sources go by weights, or where there are none by rows · repeat: then one pass
    over the mixture shows each row `repeat` times. Each pass over a source is a permutation of its
    rows (in their order without `shuffle`): no row twice, none missing. A stream is permuted in
    blocks of `block_rows`.
    """

    entries: tuple[Entry, ...]
    seed: int = 0
    shuffle: bool = True
    bad_rows: int = 0

    def __post_init__(self) -> None:
        for entry in self.entries:
            if entry.num_rows == 0:
                raise DataError(entry.source.name, "has no rows", "give at least one")
        weighed = [entry.weight is not None for entry in self.entries]
        if any(weighed) and not all(weighed):
            name = self.entries[weighed.index(False)].source.name
            raise DataError(name, "has no weight where others have one", "give all a weight")
        if len(weighed) > 1 and not all(weighed) and self.num_rows is None:
            open_ended = next(e for e in self.entries if e.num_rows is None)
            problem = "has no known number of rows to go by"
            raise DataError(open_ended.source.name, problem, "give all sources a weight")

    @property
    def num_rows(self) -> int | None:
        """Draws of one pass; None where a source has no known end."""
        counts = [entry.num_rows for entry in self.entries]
        if any(count is None for count in counts):
            return None
        return sum(self._rows_of_pass)

    @property
    def _rows_of_pass(self) -> list[int]:
        return [max(1, round((e.num_rows or 0) * e.repeat)) for e in self.entries]

    @cached_property
    def turns(self) -> Turns:
        """Which source each draw takes."""
        if len(self.entries) == 1:
            return Turns((1,))
        start = int(key(self.seed).generate_state(1)[0]) if self.shuffle else 0
        weights = [entry.weight for entry in self.entries if entry.weight is not None]
        return (
            Turns.weighted(weights, start) if weights else Turns(tuple(self._rows_of_pass), start)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the sources, for people."""
        return tuple(note for entry in self.entries for note in entry.notes)


def open_mixture(spec: DataSpec, folder: Path) -> Mixture:
    """The mixture that a recipe names; a single source is a mixture of one. Raises DataError."""
    whole = spec if isinstance(spec, MixtureSpec) else MixtureSpec(sources=(spec,))
    entries: list[Entry] = []
    for source in whole.sources:
        rows = source.shuffle_rows if isinstance(source, HubSpec) else BLOCK_ROWS
        entries += [_entry(one, rows) for one in open_source(source, folder, whole.seed)]
    return Mixture(tuple(entries), whole.seed, whole.shuffle, whole.bad_rows)


def _entry(opened: Opened, block_rows: int) -> Entry:
    return Entry(opened.source, opened.weight, opened.repeat, block_rows, opened.notes)


def key(*numbers: int) -> np.random.SeedSequence:
    """Randomness that belongs to these numbers alone."""
    return np.random.SeedSequence(numbers)


def permutation(length: int, *numbers: int) -> NDArray[np.int64]:
    """A uniform order of 0..length-1 that belongs to `numbers`.

    Made from raw bits of PCG64, which numpy keeps the same in all versions.
    """
    bits = np.random.PCG64(key(*numbers)).random_raw(length)
    return np.argsort(bits, kind="stable")


@dataclass(slots=True)
class Place:
    """Where a stream stands: its pass, and the number of the draw of it that began the pass."""

    turn: int = 0
    first: int = 0


# (source, first row, rows) -> that block, shorter at the end of a pass
ReadBlock = Callable[[int, int, int], Block]


@dataclass
class Drawing:
    """The draws of a mixture, one after the other from any position.

    Rows by number are only named here: whoever makes the batch reads them. Streams are read
    through `read_block`, one block ahead of what is given out at most.
    """

    mixture: Mixture
    read_block: ReadBlock
    draw: int = 0
    places: dict[int, Place] = field(default_factory=dict)
    _blocks: dict[int, tuple[int, Block]] = field(default_factory=dict)
    _orders: dict[int, tuple[tuple[int, ...], NDArray[np.int64]]] = field(default_factory=dict)

    @classmethod
    def at(cls, mixture: Mixture, read_block: ReadBlock, state: Mapping[str, Any]) -> Drawing:
        """Continue where `state` (see there) was taken."""
        places = {int(k): Place(*found) for k, found in state.get("streams", {}).items()}
        return cls(mixture, read_block, state.get("draw", 0), places)

    @property
    def state(self) -> dict[str, Any]:
        """What the next draws follow from, beside the mixture itself; goes into JSON."""
        streams = {str(k): [place.turn, place.first] for k, place in self.places.items()}
        return {"draw": self.draw, **({"streams": streams} if streams else {})}

    def take(self, count: int) -> list[Item]:
        """The next draws. Raises DataError for a stream without rows."""
        return list(itertools.islice(self, count))

    def __iter__(self) -> Iterator[Item]:
        while True:
            source, number = self.mixture.turns.of(self.draw)
            entry = self.mixture.entries[source]
            named = by_number(entry.source)
            item = self._named(source, number) if named else self._streamed(source, number)
            self.draw += 1
            yield item

    def _named(self, source: int, number: int) -> Row:
        mixture = self.mixture
        rows = mixture.entries[source].num_rows
        if rows is None:
            return Row(source, number)
        turn, index = divmod(number, rows)
        return Row(source, self._shuffled(index, rows, source, turn))

    def _streamed(self, source: int, number: int) -> Sample | DataError:
        place = self.places.setdefault(source, Place())
        size = self.mixture.entries[source].block_rows
        start, within = divmod(number - place.first, size)
        block = self._block(source, start * size, size)
        if within < len(block):
            return block[self._shuffled(within, len(block), source, place.turn, start)]
        if number == place.first:
            name = self.mixture.entries[source].source.name
            raise DataError(name, "has no rows", "give at least one")
        place.turn, place.first = place.turn + 1, number
        return self._streamed(source, number)

    def _block(self, source: int, start: int, size: int) -> Block:
        held = self._blocks.get(source)
        if held is None or held[0] != start:
            held = self._blocks[source] = (start, self.read_block(source, start, size))
        return held[1]

    def _shuffled(self, index: int, length: int, source: int, *part: int) -> int:
        """Where place `index` of a part of a source (a pass, or a block of one) is found."""
        if not self.mixture.shuffle:
            return index
        held = self._orders.get(source)
        if held is None or held[0] != part:
            order = permutation(length, self.mixture.seed, source, *part)
            held = self._orders[source] = (part, order)
        return int(held[1][index])
