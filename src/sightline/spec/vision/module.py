"""An encoder of the user's own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.geometry import Grid


class ModuleSpec(Spec):
    """An encoder that is a module of the user's, handed to `compose`, `build` or `load`.

    It maps float[V, 3, height, width] to [V, rows · cols, width], one row per square of `patch`
    pixels. `parameters` is their number, for the planner.
    """

    kind: Literal["module"] = "module"
    name: str = Field(min_length=1)
    width: int = Field(ge=1)
    patch: int = Field(ge=1)
    parameters: int = Field(ge=0)

    def grid(self, width: int, height: int) -> Grid:
        """Rows and columns of a view of `width` × `height` pixels."""
        return Grid(height // self.patch, width // self.patch)

    @property
    def out_width(self) -> int:
        """Channels of the rows that leave."""
        return self.width

    @property
    def frames_per_view(self) -> int:
        """Frames of a clip that one view holds."""
        return 1

    def tokens(self, grid: Grid) -> int:
        """Rows that leave the encoder for one view."""
        return grid.area
