"""Rows of square tiles with a tag before each, the whole picture last."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.resolution.pixels import PixelSpec
from sightline.spec.resolution.policy import PolicySpec

HALF = (0.5, 0.5, 0.5)
LARGEST_EDGE = 4096  # the reference's processor shrinks what is larger in a step of its own

Ids = tuple[Annotated[int, Field(ge=0)], ...]


class RowTagsSpec(Spec):
    """What stands between the views of a picture, as ids of the model's tokenizer (Idefics3).

    `around` stands before every view and after the last. It is followed by `places[row][column]`
    before a tile, by `whole` before the whole picture. `row_end` follows each row of tiles but the
    last, which `last_row_end` follows.
    """

    around: Ids
    whole: Ids
    places: tuple[tuple[Ids, ...], ...]
    row_end: Ids
    last_row_end: Ids

    @property
    def ids(self) -> tuple[int, ...]:
        """All of them."""
        tags = (tag for row in self.places for tag in row)
        named = (self.around, self.whole, self.row_end, self.last_row_end)
        return tuple(id_ for tag in (*named, *tags) for id_ in tag)


class RowTilingSpec(PolicySpec):
    """The longer side scaled to `edge`, then both to multiples of `tile`, cut in rows (Idefics3).

    The whole picture follows as one more tile; a picture of one tile is only that. Without `split`
    it always is, and so is each frame of a clip, scaled to `clip_edge` first (None: `edge`).
    """

    kind: Literal["rows"] = "rows"
    tile: int = Field(ge=1, description="side of a tile, in pixels")
    edge: int = Field(ge=1, le=LARGEST_EDGE)
    clip_edge: int | None = Field(default=None, ge=1, le=LARGEST_EDGE)
    split: bool = True
    tags: RowTagsSpec | None = None
    pixels: PixelSpec = PixelSpec(resample="lanczos", mean=HALF, std=HALF)

    @model_validator(mode="after")
    def _every_tile_has_a_tag(self) -> RowTilingSpec:
        if self.tags is None or not self.split:
            return self
        side = self.most_tiles
        if min(len(self.tags.places), *map(len, self.tags.places)) < side:
            raise SpecError(
                "tags.places", f"do not reach {side} × {side} tiles", "name more, or lower the edge"
            )
        return self

    @property
    def most_tiles(self) -> int:
        """Tiles on the longer side; a side of odd length has a pixel more."""
        return -(-(self.edge + self.edge % 2) // self.tile)

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that a view can have."""
        return self.tile

    @property
    def text_ids(self) -> tuple[int, ...]:
        """Ids that its layouts write."""
        return () if self.tags is None else self.tags.ids
