"""GQA: compositional questions, in a table of their own beside that of their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sightline.core.errors import DataError
from sightline.eval.item import Answers, Item, StoredPicture, asked_about
from sightline.eval.metrics.words import Exact
from sightline.eval.tasks.published import SHORTLY, grouped, known, words
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import Benchmark, normalised
from sightline.pictures.gateway import PictureSource

QUESTIONS, PICTURES = "testdev_balanced_instructions", "testdev_balanced_images"


def _read(path: Path) -> Iterator[Item]:
    pictures: dict[str, PictureSource | StoredPicture] = {}
    for row in _table(path, PICTURES):
        if (id := row.text("id")) in pictures:
            raise row.wrong("id", f"{id} is there twice", "keep one")
        pictures[id] = row.picture("image")
    return grouped(_item(row, pictures) for row in _table(path, QUESTIONS))


def _table(path: Path, name: str) -> Iterator[Row]:
    patterns = [f"{name}/testdev{end}" for end in ("-*.parquet", ".parquet", ".jsonl")]
    if not any(True for pattern in patterns for _ in path.glob(pattern)):
        fix = f"give the folder that holds {QUESTIONS} and {PICTURES}"
        raise DataError(str(path), f"has no {patterns[0]}", fix)
    return rows(path, *patterns)


def _item(row: Row, pictures: Mapping[str, PictureSource | StoredPicture]) -> Item:
    question, truth, picture = words(row, "question"), known(row, "answer"), row.text("imageId")
    if picture not in pictures:
        raise row.wrong("imageId", f"{picture} is no id in {PICTURES}", "fetch both tables again")
    types = row.fields.get("types")
    return Item(
        f"{row.where} {row.optional('id')}".strip(),
        asked_about(pictures[picture], question + SHORTLY),
        Answers(truth),
        str(types.get("structural") or "question") if isinstance(types, Mapping) else "question",
        group=normalised(question),
        cluster=picture,
    )


GQA = Benchmark(
    name="gqa",
    title="GQA",
    read=_read,
    metric=Exact("bare"),
    max_tokens=16,
    source="lmms_eval/tasks/gqa/{gqa.yaml, utils.py} (0.7.3); types.structural, which it does not"
    " read, gives the kind where it is there",
)
