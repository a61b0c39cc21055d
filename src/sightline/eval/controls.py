"""What a model scores when its picture is taken away (promise 7)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, assert_never

from sightline.core.errors import DataError
from sightline.eval.tasks.task import Item, StoredPicture
from sightline.pictures.gateway import PictureSource

Control = Literal["full", "blind", "swapped"]


def conversations(items: Sequence[Item], control: Control) -> list[list[dict[str, Any]]]:
    """What is said about each item under a control."""
    return [conversation(items, index, control) for index in range(len(items))]


def conversation(items: Sequence[Item], index: int, control: Control) -> list[dict[str, Any]]:
    """A user message: with the item's picture, without any, or with that of the item half the list
    away (usually another kind of question), or the next after it that has another picture.

    Pictures that are stored in rows are read here. Raises DataError where none can be swapped.
    """
    item = items[index]
    text = {"type": "text", "text": item.question}
    shown = [{"type": "image", "image": picture} for picture in _pictures(items, index, control)]
    before = [] if item.system is None else [{"role": "system", "content": item.system}]
    return [*before, {"role": "user", "content": [*shown, text]}]


def _pictures(items: Sequence[Item], index: int, control: Control) -> list[PictureSource]:
    match control:
        case "full":
            return [_read(items[index].picture)]
        case "blind":
            return []
        case "swapped":
            return [_read(_other(items, index).picture)]
        case _:
            assert_never(control)


def _other(items: Sequence[Item], index: int) -> Item:
    start = index + max(1, len(items) // 2)
    for at in range(start, start + len(items)):
        other = items[at % len(items)]
        if not _same(other.picture, items[index].picture):
            return other
    problem = "cannot be swapped: all questions are about one picture"
    raise DataError(items[index].key, problem, "use --no-controls, or add other pictures")


def _same(a: object, b: object) -> bool:
    if isinstance(a, str | os.PathLike) and isinstance(b, str | os.PathLike):
        return os.fsdecode(a) == os.fsdecode(b)
    return a is b


def _read(picture: PictureSource | StoredPicture) -> PictureSource:
    return picture.read() if isinstance(picture, StoredPicture) else picture
