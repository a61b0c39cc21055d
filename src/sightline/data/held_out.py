"""The first rows of some data, to be looked at again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.core.errors import DataError
from sightline.data.blocks import Blocks
from sightline.data.maker import RowMaker
from sightline.data.mix import Drawing, open_mixture
from sightline.data.sample import Sample
from sightline.data.work import Work
from sightline.spec.train import DataSpec, PadSpec


def first_samples(data: DataSpec, count: int, maker: RowMaker[Any], folder: Path) -> list[Sample]:
    """The first `count` rows in the order of training, or one pass where that is shorter.

    Raises DataError for a row that cannot be read.
    """
    mixture = open_mixture(data, folder)
    most = count if mixture.num_rows is None else min(count, mixture.num_rows)
    sources = tuple(entry.source for entry in mixture.entries)
    work, blocks = Work(sources, maker, PadSpec()), Blocks(sources, 0)
    try:
        items = Drawing.at(mixture, blocks.read, {}).take(most)
        samples = [work.sample(item) for item in items]
    finally:
        blocks.close()
    if len(samples) < 2:
        raise DataError("watch.data", f"has {len(samples)} rows", "give at least 2")
    return samples
