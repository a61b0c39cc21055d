"""Sources made here, at the top of a module so that worker processes can have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import torch
from PIL import Image
from tests.helpers.speaking import chat_spec, picture, tokenizer

from sightline.core.errors import DataError
from sightline.data.collate import TrainBatch
from sightline.data.loader import Feed, StepData
from sightline.data.mix import Entry, Mixture
from sightline.data.rows import ConversationMaker
from sightline.data.sample import Media, Part, Sample, Text, Turn
from sightline.model.prepare import Preparer
from sightline.spec.train import BatchSpec, PackSpec, PadSpec

WORDS = ("red", "circle", "small", "star", "ring", "yes", "white", "triangle")
MAKER = ConversationMaker(Preparer(chat_spec(), tokenizer()))
PAD, BUCKET = PadSpec(rows=3), PadSpec(rows=3, bucket=5)
PACK = PackSpec(tokens=120, visual_tokens=12, window=16)
BATCHES: dict[str, BatchSpec] = {"pad": PAD, "bucket": BUCKET, "pack": PACK}


def png(index: int) -> bytes:
    file = BytesIO()
    Image.fromarray(picture(5 + index % 7, 4, seed=index)).save(file, "PNG")
    return file.getvalue()


def row(name: str, index: int, corrupt: bool = False) -> Sample:
    """A question of one to eight words; every third row shows a picture."""
    words = " ".join(WORDS[(index + i) % 8] for i in range(1 + index * 5 % 8))
    parts: list[Part] = [Text(f"{words}?")]
    if index % 3 == 0 or corrupt:
        data = png(index)
        parts.insert(0, Media("image", data[: len(data) // 2] + bytes(9) if corrupt else data))
    turns = (Turn("user", tuple(parts)), Turn("assistant", (Text(f"number {index}"),)))
    return Sample(f"{name}:{index}", turns)


@dataclass(frozen=True)
class Shelf:
    """Rows by number. corrupt: those whose picture is cut off; unreadable: those without a row."""

    name: str
    num_rows: int | None
    corrupt: tuple[int, ...] = ()
    unreadable: tuple[int, ...] = ()

    def sample(self, index: int) -> Sample:
        if index in self.unreadable:
            raise DataError(f"{self.name}:{index}", "is no JSON", "mend or delete the line")
        return row(self.name, index, index in self.corrupt)


@dataclass(frozen=True)
class River:
    """Rows one after the other."""

    name: str
    length: int

    def samples(self, start: int) -> Iterator[Sample | DataError]:
        for index in range(start, self.length):
            yield row(self.name, index)


@dataclass(frozen=True)
class Faulty:
    """A source with a bug."""

    name: str = "faulty"
    num_rows: int | None = None

    def sample(self, index: int) -> Sample:
        if index == 4:
            raise ZeroDivisionError(f"row {index}")
        return row(self.name, index)


def mixed(bad_rows: int = 0) -> Mixture:
    """Three shelves of different lengths and a stream, by weights."""
    return Mixture(
        (
            Entry(Shelf("a", 31), weight=2),
            Entry(Shelf("b", 17), weight=1),
            Entry(Shelf("world", None), weight=0.5),
            Entry(River("s", 43), weight=1.5, block_rows=10),
        ),
        seed=7,
        bad_rows=bad_rows,
    )


def feed(
    mixture: Mixture, batch: BatchSpec, workers: int = 0, rank: int = 0, world: int = 1,
    accumulate: int = 1,
) -> Feed[TrainBatch]:  # fmt: skip
    return Feed(
        mixture, MAKER, batch, accumulate=accumulate, rank=rank, world=world, workers=workers
    )


def taken(made: Feed[TrainBatch], count: int, state: object = None) -> list[StepData[TrainBatch]]:
    """The first steps, and the end of the workers."""
    with made:
        steps = made.steps(state)  # type: ignore[arg-type]
        return [next(steps) for _ in range(count)]


Steps = Sequence[StepData[TrainBatch]]


def numbers(micro: TrainBatch) -> list[torch.Tensor]:
    batch = micro.batch
    return [batch.token_ids_BT, batch.visual_BT, batch.positions_ABT, micro.weights_BT,
            *batch.pixels]  # fmt: skip


def same(a: TrainBatch, b: TrainBatch) -> bool:
    x, y = numbers(a), numbers(b)
    return (
        a.ids == b.ids
        and a.batch.mask.lengths == b.batch.mask.lengths
        and (a.tokens, a.capacity) == (b.tokens, b.capacity)
        and len(x) == len(y)
        and all(map(torch.equal, x, y))
    )


def equal(a: Steps, b: Steps) -> bool:
    return len(a) == len(b) and all(
        x.ids == y.ids
        and x.state == y.state
        and [str(e) for e in x.bad] == [str(e) for e in y.bad]
        and len(x.micro) == len(y.micro)
        and all(map(same, x.micro, y.micro))
        for x, y in zip(a, b, strict=True)
    )
