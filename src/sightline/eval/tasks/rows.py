"""Questions of a data file, each asked alone with its picture."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sightline.core.errors import DataError
from sightline.data.mix import by_number
from sightline.data.sample import Media, Sample, Text, Turn
from sightline.data.source import Source
from sightline.data.sources import check_media, open_source
from sightline.eval.item import Answers, Item, StoredPicture, asked_about
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.words import Exact
from sightline.eval.tasks.published import grouped
from sightline.eval.tasks.task import drawn, normalised
from sightline.pictures.gateway import PictureSource
from sightline.spec.train import FilesSpec


@dataclass(frozen=True, slots=True, eq=False)
class RowPicture:
    """The picture of a row whose file holds it: read from there, and not kept."""

    source: Source
    index: int

    def read(self) -> PictureSource:
        """Its bytes. Raises DataError if the file is not what it was."""
        return _source(self.source.sample(self.index).media[0])


@dataclass(frozen=True, slots=True)
class RowsTask:
    """Every question of a file (all dialects and formats that training reads) with its answer.

    A row with several questions gives as many items; what was said before a question is not
    repeated, but for a system message. The picture stands before the question. Score: exact match
    of the words, case and a final full stop aside. The row's field `kind`, where it has one, is
    the kind of its items. `group` is the question if it is asked `TEMPLATE_ITEMS` times, else the
    kind.

    media: folder of relative pictures, in place of the file's own. seed: which questions are drawn
    where not all are asked.
    """

    file: str
    media: str | None = None
    seed: int = 0
    max_tokens: int = 192

    @property
    def name(self) -> str:
        return self.file

    @property
    def metric(self) -> Metric:
        return Exact()

    def items(self, count: int | None = None) -> Sequence[Item]:
        """`count` of the file's questions, or all of them, in its order.

        The header of every picture is read. Raises DataError naming file and row for a row that
        cannot be read, has not one picture that opens, or has an answer that is not words; and for
        more items than there are.
        """
        found = [item for source in self._sources() for item in _items_of(source)]
        return list(grouped(drawn(found, count, self.seed, self.file)))

    def _sources(self) -> Iterator[Source]:
        for opened in open_source(FilesSpec(path=self.file, media=self.media), Path()):
            if not by_number(opened.source) or opened.source.num_rows is None:
                raise DataError(self.file, "has no counted rows", "give a file or a folder")
            yield opened.source


def _items_of(source: Source) -> Iterator[Item]:
    for index in range(source.num_rows or 0):
        sample = source.sample(index)
        picture = _picture(sample, source, index)
        system = next((turn.text for turn in sample.turns if turn.role == "system"), None)
        kind = str(sample.columns.get("kind", "question"))
        pairs = _pairs(sample)
        for number, (question, answer) in enumerate(pairs, 1):
            key = sample.id if len(pairs) == 1 else f"{sample.id}#{number}"
            yield Item(
                key,
                asked_about(picture, question),
                Answers((answer,)),
                kind,
                group=normalised(question),
                cluster=_cluster(sample),
                system=system,
            )


def _picture(sample: Sample, source: Source, index: int) -> PictureSource | StoredPicture:
    """The one picture of a row, opened when it is looked at. Raises DataError."""
    if [media.kind for media in sample.media] != ["image"]:
        problem = f"has {_counted(sample)}; questions are asked about one picture each"
        raise DataError(sample.id, problem, "give one picture a row, or leave the row out")
    for error in check_media(sample):
        raise error
    picture = _source(sample.media[0])
    held = not isinstance(picture, Path) and not (
        isinstance(picture, str) and picture[:5].lower() != "data:"
    )
    return RowPicture(source, index) if held else picture


def _cluster(sample: Sample) -> str:
    """The picture: its path as the row names it, the digest of its bytes, or else the row."""
    match sample.media[0].source:
        case Path() as path:
            return os.path.relpath(path, Path(sample.id).parent)
        case bytes() as data:
            return hashlib.sha256(data).hexdigest()[:16]
        case str() as text:
            return hashlib.sha256(text.encode()).hexdigest()[:16]
        case _:
            return sample.id


def _counted(sample: Sample) -> str:
    counts = Counter(media.kind for media in sample.media)
    return ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items()) or "no picture"


def _source(media: Media) -> PictureSource:
    return cast(PictureSource, media.source)  # readers give nothing else for an image


def _pairs(sample: Sample) -> list[tuple[str, str]]:
    """Each question with its answer. Raises DataError for rows of another kind, and for places."""
    if sample.kind != "conversation":
        problem = f"is a {sample.kind} row, not questions with answers"
        raise DataError(sample.id, problem, "leave it out")
    turns = [turn for turn in sample.turns if turn.role != "system"]
    return [
        (_words(question, sample), _words(answer, sample))
        for question, answer in zip(turns[::2], turns[1::2], strict=True)
    ]


def _words(turn: Turn, sample: Sample) -> str:
    if not all(isinstance(part, Text | Media) for part in turn.parts):
        raise DataError(sample.id, "has boxes or points", "questions are scored by words alone")
    if not (words := turn.text.strip()):
        raise DataError(sample.id, f"has a message of the {turn.role} without words", "write it")
    return words
