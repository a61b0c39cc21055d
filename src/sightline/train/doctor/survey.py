"""Rows of a stage read and counted: how long they are, which are bad, which come twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.core.errors import DataError, SightlineError
from sightline.data.blocks import Blocks
from sightline.data.maker import RowMaker
from sightline.data.mix import Drawing, Item, Mixture, Row, open_mixture
from sightline.data.sample import Media, Places, Sample, Text
from sightline.data.work import Work, named
from sightline.model.prepare import Measured
from sightline.spec.train import StageSpec
from sightline.train.doctor.finding import Finding

TOLD = 5  # bad rows and duplicates that are named one by one


@dataclass
class Survey:
    """What a stage's rows are like.

    Attributes:
        num_rows: of one pass; None without end.
        samples: the rows that are good, first ones only, for those who look closer.
        sizes: tokens of every good row.
        bad: what is wrong with the others.
        twice: ids of rows that say and show the same as an earlier one, with that one's.
    """

    notes: tuple[str, ...] = ()
    num_rows: int | None = None
    samples: list[Sample] = field(default_factory=list)
    sizes: list[Measured] = field(default_factory=list)
    bad: list[DataError] = field(default_factory=list)
    twice: list[tuple[str, str]] = field(default_factory=list)

    @property
    def read(self) -> int:
        return len(self.sizes) + len(self.bad)

    def mean(self, count: str) -> float:
        """Mean of one of the counts of `Measured` over the good rows."""
        return float(np.mean([getattr(size, count) for size in self.sizes]))

    def findings(self, stage: StageSpec, field_: str) -> Iterator[Finding]:
        """What to say about the rows."""
        allowed = getattr(stage.data, "bad_rows", 0)
        level = "error" if len(self.bad) > allowed else "warning"
        for error in self.bad[:TOLD]:
            yield Finding.of(error, level)  # type: ignore[arg-type]
        if (more := len(self.bad) - TOLD) > 0:
            yield Finding(level, f"{field_}.data", f"{more} more bad rows")  # type: ignore[arg-type]
        if self.twice:
            pairs = ", ".join(f"{b} = {a}" for a, b in self.twice[:TOLD])
            text = f"{len(self.twice)} of {self.read} rows come twice ({pairs})"
            yield Finding("warning", f"{field_}.data", text, "remove them or lower their weight")
        if self.sizes:
            text = f"{self.read} rows read, {len(self.sizes)} good"
            yield Finding("ok", f"{field_}.data", text)
        else:
            yield Finding("error", f"{field_}.data", "has no row that can be trained on", "mend it")


def survey(
    stage: StageSpec, maker: RowMaker[Any], folder: Path, *, most: int | None, keep: int = 16
) -> Survey:
    """Read the first `most` rows in the order of training, or with None all rows of one pass.

    Pictures are opened as far as their headers. Raises DataError for a source that cannot be
    opened or, asked for all, has no end; SpecError for batches that the model cannot have.
    """
    maker.check(stage.batch)
    mixture = open_mixture(stage.data, folder)
    if most is None and mixture.num_rows is None:
        raise DataError("data", "has no end", "say how many rows are to be read")
    sources = tuple(entry.source for entry in mixture.entries)
    work, blocks = Work(sources, maker, stage.batch), Blocks(sources, 0)
    found = Survey(mixture.notes, mixture.num_rows)
    seen: dict[str, str] = {}
    try:
        for item in _items(mixture, blocks, most):
            _look(item, work, found, seen, keep)
    finally:
        blocks.close()
    return found


def _items(mixture: Mixture, blocks: Blocks, most: int | None) -> Iterator[Item]:
    """Each row once: a mixture draws some again before it has drawn all."""
    left = most if mixture.num_rows is None else min(most or mixture.num_rows, mixture.num_rows)
    assert left is not None
    drawn: set[Row] = set()
    for item in Drawing.at(mixture, blocks.read, {}):
        if left <= 0:
            return
        left -= 1
        if isinstance(item, Row):
            if item in drawn:
                continue
            drawn.add(item)
        yield item


def _look(item: Item, work: Work, found: Survey, seen: dict[str, str], keep: int) -> None:
    sample: Sample | None = None
    try:
        sample = work.sample(item)
    except SightlineError as error:
        found.bad.append(named(error, None))
        return
    size = work.measured(sample)
    if isinstance(size, DataError):
        found.bad.append(size)
        return
    found.sizes.append(size)
    if len(found.samples) < keep:
        found.samples.append(sample)
    first = seen.setdefault(key_of(sample), sample.id)
    if first != sample.id:
        found.twice.append((first, sample.id))


def key_of(sample: Sample) -> str:
    """Equal for samples that say and show the same."""
    digest = hashlib.sha256()
    for turn in (*sample.turns, *(sample.rejected or ())):
        digest.update(turn.role.encode())
        for part in turn.parts:
            match part:
                case Text(text=text):
                    digest.update(text.encode())
                case Places():
                    digest.update(repr(part).encode())
                case Media(kind=kind, source=source):
                    digest.update(kind.encode() + _content(source))
    return digest.hexdigest()


def _content(source: object) -> bytes:
    match source:
        case bytes():
            return source
        case np.ndarray():
            return repr(source.shape).encode() + source.tobytes()
        case Image.Image():
            return repr(source.size).encode() + source.tobytes()
        case list() | tuple():
            return b"".join(_content(item) for item in source)
        case _:
            return json.dumps(str(source)).encode()
