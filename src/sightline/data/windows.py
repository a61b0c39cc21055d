"""The rows of a window dealt into micro-batches, by their sizes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from sightline.core.errors import DataError
from sightline.data.mix import permutation
from sightline.model.prepare import Measured
from sightline.spec.train import BatchSpec, PackSpec, PadSpec

Sizes = Sequence[Measured | DataError]  # of the rows of a window; errors are left out


def window_rows(batch: BatchSpec) -> int:
    """Rows that are dealt together."""
    match batch:
        case PadSpec(rows=rows, bucket=bucket):
            return rows * bucket
        case PackSpec(window=window):
            return window
        case _:
            assert_never(batch)


def is_measured(batch: BatchSpec) -> bool:
    """Whether dealing needs the sizes of rows; otherwise a window is a batch."""
    return isinstance(batch, PackSpec) or batch.bucket > 1


def deal(batch: BatchSpec, sizes: Sizes, *order: int) -> list[list[int]]:
    """Micro-batches as numbers of rows in the window, each row once; rows that are errors in none.

    They come in an order seeded by `order`, so that long rows are not always the first; without a
    seed, in the order of their first rows.
    """
    rows = [i for i, size in enumerate(sizes) if isinstance(size, Measured)]
    match batch:
        case PadSpec():
            dealt = _alike(batch.rows, rows, sizes)
        case PackSpec():
            dealt = _packs(batch, rows, sizes)
        case _:
            assert_never(batch)
    dealt = sorted(sorted(one) for one in dealt)
    return [dealt[i] for i in permutation(len(dealt), *order)] if order else dealt


def refusal(batch: BatchSpec, size: Measured) -> str | None:
    """Why a row fits into no micro-batch; None where it does."""
    if not isinstance(batch, PackSpec):
        return None
    if size.tokens > batch.tokens:
        return f"takes {size.tokens} tokens, a micro-batch holds {batch.tokens}"
    most = batch.visual_tokens
    if most is not None and visual(size) > most:
        return f"takes {visual(size)} visual tokens, a micro-batch holds {most}"
    return None


def visual(size: Measured) -> int:
    """Visual tokens, in the sequence or in a memory beside it."""
    return size.visual_tokens + size.memory_tokens


def _alike(rows: int, numbers: Sequence[int], sizes: Sizes) -> list[list[int]]:
    by_length = sorted(numbers, key=lambda i: (_size(sizes, i).tokens, i))
    return [by_length[at : at + rows] for at in range(0, len(by_length), rows)]


@dataclass(slots=True)
class _Pack:
    tokens: int
    visual: int
    rows: list[int] = field(default_factory=list)

    def room(self, size: Measured) -> bool:
        return size.tokens <= self.tokens and visual(size) <= self.visual

    def add(self, row: int, size: Measured) -> None:
        self.rows.append(row)
        self.tokens -= size.tokens
        self.visual -= visual(size)


def _packs(batch: PackSpec, numbers: Sequence[int], sizes: Sizes) -> list[list[int]]:
    """Best fit decreasing over tokens and visual tokens.

    Rows are taken by the larger of their two shares, each into the pack with the fewest tokens
    left that has room for both. Any two packs together hold more than one pack may (of tokens, or
    of visual tokens), or they would have been one: so the mean of their fills is over a half
    whatever the rows, where visual tokens do not bind; with rows much smaller than a pack it is
    over 0.95.
    """
    most = batch.visual_tokens or 0

    def share(row: int) -> float:
        size = _size(sizes, row)
        return max(size.tokens / batch.tokens, visual(size) / most if most else 0.0)

    packs: list[_Pack] = []
    for row in sorted(numbers, key=lambda row: (-share(row), row)):
        size = _size(sizes, row)
        fitting = [pack for pack in packs if pack.room(size)]
        if fitting:
            pack = min(fitting, key=lambda pack: pack.tokens)
        else:
            pack = _Pack(batch.tokens, most or visual_total(sizes))
            packs.append(pack)
        pack.add(row, size)
    return [pack.rows for pack in packs]


def visual_total(sizes: Sizes) -> int:
    """Visual tokens of all rows together."""
    return sum(visual(size) for size in sizes if isinstance(size, Measured))


def _size(sizes: Sizes, row: int) -> Measured:
    size = sizes[row]
    assert isinstance(size, Measured), "errors are left out"
    return size


def bad_rows(sizes: Sizes) -> Iterator[DataError]:
    """What is wrong with rows of the window."""
    return (size for size in sizes if isinstance(size, DataError))
