"""A question with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

from sightline.core.geometry import Box
from sightline.data.sample import Media
from sightline.pictures.gateway import PictureSource


@runtime_checkable
class StoredPicture(Protocol):
    """A picture inside a file of rows, read when its question is asked."""

    def read(self) -> PictureSource: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """Words that are right; the first is the one that is shown. Some metrics count how often each
    was given (ten people answer a question of VQAv2)."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several options is right. The prompt shows them under the letters A, B, C..., or
    under `letters`."""

    options: tuple[str, ...]
    index: int
    letters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Boxes:
    """Places in pixels of the picture, and the words that go with them, if any."""

    boxes: tuple[Box, ...]
    texts: tuple[str, ...] = ()


Truth = Answers | Choice | Boxes


@dataclass(frozen=True, slots=True)
class Item:
    """One question.

    Attributes:
        key: unique in its task, and for people: file and row.
        parts: words and media in the order in which the user says them. The source of a picture
            may be a StoredPicture.
        truth: what is right.
        kind: the skill that it needs; figures are broken down by it.
        group: the unit in which a majority answer is meaningful (a question template).
        cluster: items of one cluster (one picture) are not independent; intervals respect it.
        unit: items that are judged together (a question and its rotations); "" is the item alone.
        level: the dial of a probe, in the units of its axis.
        system: said before the question.
    """

    key: str
    parts: tuple[str | Media, ...]
    truth: Truth
    kind: str = "question"
    group: str = ""
    cluster: str = ""
    unit: str = ""
    level: float | None = None
    system: str | None = None

    @property
    def question(self) -> str:
        """Its words, without media."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def media(self) -> tuple[Media, ...]:
        return tuple(part for part in self.parts if isinstance(part, Media))

    @property
    def answer(self) -> str:
        """The truth in words, as a report shows it."""
        match self.truth:
            case Answers(texts):
                return texts[0]
            case Choice(options, index, letters):
                return f"{letters[index]}. {options[index]}"
            case Boxes(boxes, texts):
                return " ".join(texts) or " ".join(str(box) for box in boxes)
            case _:
                assert_never(self.truth)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Places that belong to the truth."""
        return self.truth.boxes if isinstance(self.truth, Boxes) else ()


def asked_about(picture: PictureSource | StoredPicture, question: str) -> tuple[str | Media, ...]:
    """A picture, then a question."""
    return Media("image", picture), question
