"""What makes micro-batches of samples: of conversations, of pairs, of what a stage trains on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from sightline.data.sample import Sample
from sightline.model.prepare import Measured
from sightline.spec.train import BatchSpec

MicroT_co = TypeVar("MicroT_co", covariant=True)


class RowMaker(Protocol[MicroT_co]):
    """From samples to micro-batches. It goes to worker processes, so it can be pickled.

    `make` and `measure` raise a SightlineError for a row that cannot be used: a bad row.
    """

    def check(self, batch: BatchSpec) -> None:
        """Raises SpecError for batches that cannot be made for this model."""

    def make(self, sample: Sample) -> Any:
        """A row with its pixels."""

    def measure(self, sample: Sample) -> Measured:
        """How long that row will be, from headers alone."""

    def collate(self, rows: Sequence[Any], batch: BatchSpec) -> MicroT_co:
        """Rows as one micro-batch, padded or packed as `batch` says."""

    def silent(self, micro: Any) -> MicroT_co:
        """A micro-batch that runs through the same parts of the model, and counts for nothing."""
