"""The canonical sample: what every dialect is read into and written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sightline.core.geometry import Box, Point

Role = Literal["system", "user", "assistant"]
MediaKind = Literal["image", "video", "document"]
# Of what coordinates are counted: pixels of the original picture, shares of its sides (0..1), or
# thousandths of them (0..1000).
Unit = Literal["pixel", "share", "thousandth"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words, as the model will read or write them."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, clip or document where it stands among the words.

    source: a path, the bytes of a file, a data URI, an array uint8[H, W, 3], or a list of frames.
    fps: the rate of frames that cannot say it.
    """

    kind: MediaKind
    source: object
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Boxes and points where the text names them, written in the model's own style when read.

    media: which of the sample's media items they are places of, from 0.
    """

    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    media: int = 0
    unit: Unit = "pixel"


Part = Text | Media | Places


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. weight: of the loss of its tokens where they are targets; 0 teaches nothing."""

    role: Role
    parts: tuple[Part, ...]
    weight: float = 1.0

    @property
    def text(self) -> str:
        """Its words, joined by nothing."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def media(self) -> tuple[Media, ...]:
        return tuple(part for part in self.parts if isinstance(part, Media))


@dataclass(frozen=True, slots=True)
class Sample:
    """One row: a conversation, and what some dialects know besides.

    Attributes:
        id: where it comes from, for people: file and row (`train.jsonl:17`), unique in its source.
        turns: the conversation; of a preference the chosen one. It ends with the user in rows that
            only ask (`prompt`).
        rejected: of a preference, the whole conversation that is worse (its media may differ).
        desirable: of a judged row (KTO), whether its last answer is wanted.
        tools: declarations of functions as JSON text, where the row has them.
        columns: fields that belong to rewards or ratings, as they stand in the row.
    """

    id: str
    turns: tuple[Turn, ...]
    rejected: tuple[Turn, ...] | None = None
    desirable: bool | None = None
    tools: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Literal["conversation", "preference", "judged", "prompt"]:
        """What a row is good for."""
        if self.rejected is not None:
            return "preference"
        if self.desirable is not None:
            return "judged"
        return "conversation" if self.turns[-1].role == "assistant" else "prompt"

    @property
    def media(self) -> tuple[Media, ...]:
        """All media of the conversation, in order."""
        return tuple(media for turn in self.turns for media in turn.media)
