"""The first rows of some data, to be looked at again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sightline.core.errors import DataError
from sightline.data.blocks import Blocks
from sightline.data.maker import RowMaker
from sightline.data.mix import Drawing, Item, open_mixture
from sightline.data.sample import Sample
from sightline.data.work import Work
from sightline.spec.train import DataSpec, PadSpec


def first_samples(data: DataSpec, count: int, maker: RowMaker[Any], folder: Path) -> list[Sample]:
    """The first `count` rows in the order of training, or one pass where that is shorter.

    Rows that cannot be read are left out, as many as the mixture allows (`bad_rows`). Raises
    DataError for one more, and for fewer than two good rows.
    """
    mixture = open_mixture(data, folder)
    sources = tuple(entry.source for entry in mixture.entries)
    work, blocks = Work(sources, maker, PadSpec()), Blocks(sources, 0)
    try:
        items = islice(Drawing.at(mixture, blocks.read, {}), mixture.num_rows)
        samples = list(islice(_good(items, work, mixture.bad_rows), count))
    finally:
        blocks.close()
    if len(samples) < 2:
        raise DataError("watch.data", f"has {len(samples)} rows", "give at least 2")
    return samples


def _good(items: Iterable[Item], work: Work, allowed: int) -> Iterator[Sample]:
    """The rows that can be read. Raises the error of one bad row too many."""
    bad = 0
    for item in items:
        try:
            sample = work.sample(item)
        except DataError:
            bad += 1
            if bad > allowed:
                raise
            continue
        yield sample
