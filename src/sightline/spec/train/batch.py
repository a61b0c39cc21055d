"""How rows become the micro-batches of a step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.core.config import Spec


class PadSpec(Spec):
    """`rows` rows side by side, padded to the longest.

    bucket: rows of so many batches are sorted by length first, so that neighbours are alike.
    """

    kind: Literal["pad"] = "pad"
    rows: int = Field(default=32, ge=1)
    bucket: int = Field(default=1, ge=1)


class PackSpec(Spec):
    """Rows end to end, each seeing only itself, up to `tokens` in one micro-batch.

    Of every `window` rows each goes to the fullest micro-batch that has room (best fit decreasing).
    visual_tokens: the most that one micro-batch may hold of them, in the sequence or in a memory.
    A row longer than `tokens` is a bad row: nothing is cut.
    """

    kind: Literal["pack"] = "pack"
    tokens: int = Field(ge=16)
    visual_tokens: int | None = Field(default=None, ge=1)
    window: int = Field(default=256, ge=1)


BatchSpec = Annotated[PadSpec | PackSpec, Field(discriminator="kind")]
