"""What a source of samples is: rows by number, or rows one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sightline.core.errors import DataError
from sightline.data.sample import Sample


class Source(Protocol):
    """Rows by number: a file or folder whose rows were counted, or an endless world.

    Reading row i gives the same sample in every process and at every time.
    """

    @property
    def name(self) -> str:
        """For people, and in the ids of its rows."""

    @property
    def num_rows(self) -> int | None:
        """None where every number has a row."""

    def sample(self, index: int) -> Sample:
        """Row `index`. Raises DataError naming file, row and reason."""


class Stream(Protocol):
    """Rows in the order of a stream that cannot be read by number."""

    @property
    def name(self) -> str: ...

    def samples(self, start: int) -> Iterator[Sample | DataError]:
        """One pass from row `start` on; a row that cannot be read is given as its error."""
