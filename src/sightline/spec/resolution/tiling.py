"""A sheet of square tiles that comes closest to the picture's shape."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.errors import SpecError
from sightline.spec.resolution.policy import PolicySpec


class TilingSpec(PolicySpec):
    """Every picture is stretched to a sheet of tiles of `tile` × `tile` pixels (InternVL 1.5).

    The sheet has `min_tiles` to `max_tiles` tiles and the aspect ratio nearest to the picture's.
    With `thumbnail` the whole picture follows as one more tile where the sheet has several. Each
    frame of a clip is one tile.
    """

    kind: Literal["tiling"] = "tiling"
    tile: int = Field(ge=1)
    min_tiles: int = Field(default=1, ge=1)
    max_tiles: int = Field(default=12, ge=1)
    thumbnail: bool = True

    @model_validator(mode="after")
    def _least_before_most(self) -> TilingSpec:
        if self.min_tiles > self.max_tiles:
            raise SpecError(
                "min_tiles", f"{self.min_tiles} exceeds max_tiles {self.max_tiles}", "exchange them"
            )
        return self

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that a view can have."""
        return self.tile
