"""What a model answered, as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sightline.core.errors import SightlineError
from sightline.core.geometry import Box, Point


@dataclass(frozen=True, slots=True)
class Said:
    """One answer.

    Attributes:
        text: its words.
        boxes, points: geometry in it, in pixels of the picture that it is about.
        finish: why it ended (`stop`, `length`, ...); "" where a remote server did not say.
        text_tokens, visual_tokens, answer_tokens: what it took; a remote server counts the first
            two together, as text.
        kv_bytes: what the prompt and the answer keep in the cache; 0 of a remote model.
        evidence: nats per answer token by which the picture made the answer likelier, if measured.
        token_ids: of the answer, where the model is here.
        retries: why each further attempt was made, of a remote model.
        failure: why there is no answer; such an item is counted, and never scored.
    """

    text: str
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    finish: str = ""
    text_tokens: int = 0
    visual_tokens: int = 0
    answer_tokens: int = 0
    kv_bytes: int = 0
    evidence: float | None = None
    failure: str | None = None
    token_ids: tuple[int, ...] = ()
    retries: tuple[str, ...] = ()

    @classmethod
    def failed(cls, error: SightlineError) -> Said:
        """No answer, for this reason: its sort (`Picture`, `ContextOverflow`), then its words."""
        return cls("", failure=f"{type(error).__name__.removesuffix('Error')}: {error}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Said:
        places = {
            "boxes": tuple(Box(**box) for box in data["boxes"]),
            "points": tuple(Point(**point) for point in data["points"]),
        }
        return cls(**{**data, **places, **{f: tuple(data[f]) for f in ("token_ids", "retries")}})
