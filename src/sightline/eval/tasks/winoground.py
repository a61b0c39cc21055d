"""Winoground: two pictures and two captions of the same words in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sightline.eval.item import Answers, Item, StoredPicture, asked_about
from sightline.eval.metrics.winoground import Winoground
from sightline.eval.tasks.published import grouped, split
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import Benchmark
from sightline.pictures.gateway import PictureSource

FILES = (*split("test"), "examples.jsonl", "data/examples.jsonl")
SUFFIXES = ("", ".png", ".jpg")


def read(path: Path) -> Iterator[Item]:
    """Four questions an example: does this picture show this caption? Raises DataError naming file
    and row."""
    return grouped(item for row in rows(path, *FILES) for item in _items(row))


def _items(row: Row) -> Iterator[Item]:
    captions = (row.text("caption_0"), row.text("caption_1"))
    pictures = (picture(row, "image_0"), picture(row, "image_1"))
    unit = f"{row.where} {row.text('id')}"
    for at, shown in enumerate(pictures):
        for number, caption in enumerate(captions):
            yield Item(
                f"{unit} image {at} caption {number}",
                asked_about(shown, f'Does this figure show "{caption}"? Please answer yes or no.'),
                Answers(("yes" if at == number else "no",)),
                row.text("collapsed_tag"),
                cluster=unit,
                unit=unit,
            )


def picture(row: Row, field: str) -> PictureSource | StoredPicture:
    """In Parquet files the picture itself, in examples.jsonl the name of a file in `images/`,
    without its suffix."""
    name = row.value(field)
    if not isinstance(name, str):
        return row.picture(field)
    folder = row.table.folder(row.index) / "images"
    for file in (folder / f"{name}{suffix}" for suffix in SUFFIXES):
        if file.is_file():
            return replace(row, fields={field: str(file.absolute())}).picture(field)
    raise row.wrong(field, f"has no file images/{name}.png", "unpack images.zip beside the rows")


WINOGROUND = Benchmark(
    name="winoground",
    title="Winoground",
    read=read,
    metric=Winoground(),
    max_tokens=16,
    source=(
        "lmms-eval 0.7.3 has no such task. Fields id, image_0, image_1, caption_0, caption_1, "
        "collapsed_tag: facebook/winoground as github.com/LAION-AI/CLIP_benchmark clip_benchmark/"
        "datasets/winoground.py and github.com/juletx/spatial-reasoning README.md read it. Prompt: "
        "VQAScore (github.com/linzhiqiu/t2v_metrics, default_question_template). Scores: Thrush "
        "et al. 2022, arXiv:2204.03162"
    ),
)
