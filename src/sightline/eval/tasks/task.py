"""What a task is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sightline.core.geometry import Box
from sightline.pictures.gateway import PictureSource


@runtime_checkable
class StoredPicture(Protocol):
    """A picture inside a file of rows, read when its question is asked."""

    def read(self) -> PictureSource: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One question about one picture: an array uint8[H, W, 3], or what opens as one.

    `group` is the unit in which a majority answer is meaningful (a question template);
    `boxes` is geometry that belongs to the answer, in pixels of the picture; `system` is said
    before the question.
    """

    key: str
    kind: str
    group: str
    picture: PictureSource | StoredPicture
    question: str
    answer: str
    boxes: tuple[Box, ...] = ()
    system: str | None = None


class Reply(Protocol):
    """What a model said: text, and boxes in pixels of the picture that it was about."""

    @property
    def text(self) -> str: ...
    @property
    def boxes(self) -> tuple[Box, ...]: ...


class Task(Protocol):
    """Items by index and the score (0..1) of a reply."""

    @property
    def name(self) -> str: ...
    def items(self, count: int) -> Sequence[Item]: ...
    def score(self, item: Item, reply: Reply) -> float: ...


def normalised(text: str) -> str:
    """Lower case, without a final full stop or surrounding space."""
    return text.strip().rstrip(".").strip().lower()
