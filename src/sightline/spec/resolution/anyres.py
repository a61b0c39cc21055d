"""Tiles in the grid that suits a picture's shape, beside the whole picture."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec.resolution.policy import PolicySpec

NEWLINE = "newline"
Pinpoint = tuple[int, int]
Fit = Literal["squash", "crop", "pad"]


class PoolSpec(Spec):
    """`stride` × `stride` cells of a view become one.

    `at` features: before the connector (LLaVA-NeXT-Video); at tokens: after it (OneVision).
    average and max leave out a rest smaller than the stride, bilinear stretches over it.
    """

    at: Literal["features", "tokens"] = "tokens"
    mode: Literal["average", "max", "bilinear"] = "bilinear"
    stride: int = Field(default=2, ge=2)

    def grid(self, cells: Grid) -> Grid:
        """The cells that are left."""
        rest = self.stride - 1 if self.mode == "bilinear" else 0
        return Grid((cells.rows + rest) // self.stride, (cells.cols + rest) // self.stride)


class ClipSpec(Spec):
    """The frames of a clip: one view each, as `fixed` makes it, pooled; `newline` ends the clip."""

    fit: Fit = "squash"
    pool: PoolSpec | None = None
    newline: bool = False


class AnyresSpec(PolicySpec):
    """LLaVA-NeXT's resolution (Liu et al. 2024): the whole picture squashed into one view of
    `size` × `size` pixels, then the picture in its own shape, cut into such tiles.

    pinpoints: the (height, width) that the tiles may form; the one that keeps most of the picture
    and then wastes least is taken.
    merge: `unpad` sets the tokens of all tiles together as one sheet, takes away what shows padding
    and ends every row with a learned newline; `flat` leaves them tile after tile.
    max_tiles: a sheet of clearly more tokens than so many tiles is shrunk to them (OneVision's
    anyres_max_9).
    several: with `pad`, each of several pictures of a conversation is one view, on a square of the
    mean colour (OneVision); with `tiles` all are cut.
    """

    kind: Literal["anyres"] = "anyres"
    size: int = Field(ge=1)
    pinpoints: tuple[Pinpoint, ...] = Field(min_length=1)
    merge: Literal["unpad", "flat"] = "unpad"
    max_tiles: int | None = Field(default=None, ge=1)
    several: Literal["tiles", "pad"] = "tiles"
    clip: ClipSpec = ClipSpec()

    @model_validator(mode="after")
    def _makes_sheets(self) -> AnyresSpec:
        for height, width in self.pinpoints:
            if min(height, width) < 1 or height % self.size or width % self.size:
                raise SpecError(
                    "pinpoints",
                    f"{height} × {width} is not made of tiles of {self.size}",
                    "give heights and widths that are multiples of size",
                )
        if self.merge == "flat" and self.max_tiles is not None:
            raise SpecError("max_tiles", "has no meaning with merge=flat", "remove it")
        return self

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that a view can have."""
        return self.size

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the learned vectors that its layouts use."""
        return (NEWLINE,) if self.merge == "unpad" or self.clip.newline else ()
