"""What is done with rows away from the training process: measuring them, and making batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import DataError, SightlineError
from sightline.data.maker import RowMaker
from sightline.data.mix import Item, Row, by_number
from sightline.data.sample import Sample
from sightline.data.source import Source, Stream
from sightline.data.windows import refusal
from sightline.model.prepare import Measured
from sightline.spec.train import BatchSpec


@dataclass(frozen=True, slots=True)
class Measure:
    """Say how long each row will be."""

    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Make:
    """Make one micro-batch of these rows."""

    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Made:
    """A micro-batch (None where no row was good) and the ids of its rows, and what is wrong with
    the others."""

    micro: Any
    ids: tuple[str, ...]
    bad: tuple[DataError, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """Sources and a maker, as a worker process holds them."""

    sources: tuple[Source | Stream, ...]
    maker: RowMaker[Any]
    batch: BatchSpec

    def __call__(self, task: Measure | Make) -> Any:
        if isinstance(task, Measure):
            return [self.measured(item) for item in task.items]
        return self.made(task.items)

    def measured(self, item: Item) -> Measured | DataError:
        """The size of a row, or why it is a bad one."""
        sample: Sample | None = None
        try:
            sample = self.sample(item)
            size = self.maker.measure(sample)
            if (problem := refusal(self.batch, size)) is not None:
                fix = "raise the budget of the batch, or leave the row out: nothing is cut"
                raise DataError(sample.id, problem, fix)
            return size
        except SightlineError as error:
            return named(error, sample)

    def made(self, items: Sequence[Item]) -> Made:
        rows: list[Any] = []
        ids: list[str] = []
        bad: list[DataError] = []
        for item in items:
            sample: Sample | None = None
            try:
                sample = self.sample(item)
                rows.append(self.maker.make(sample))
                ids.append(sample.id)
            except SightlineError as error:
                bad.append(named(error, sample))
        micro = self.maker.collate(rows, self.batch) if rows else None
        return Made(micro, tuple(ids), tuple(bad))

    def sample(self, item: Item) -> Sample:
        """Raises DataError."""
        match item:
            case Row(source=number, index=index):
                source = self.sources[number]
                assert by_number(source), "rows of streams are not named by number"
                return source.sample(index)
            case DataError():
                raise item
            case Sample():
                return item


def named(error: SightlineError, sample: Sample | None) -> DataError:
    """The error with file and row; a source names them itself."""
    if sample is None or error.field == sample.id:
        return DataError(error.field, error.problem, error.fix)
    return DataError(sample.id, f"{error.field}: {error.problem}", error.fix)
