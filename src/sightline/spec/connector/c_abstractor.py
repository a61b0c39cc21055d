"""Convolutions that gather a view into a smaller square of tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid


class CAbstractorSpec(Spec):
    """C-Abstractor (Honeybee, Cha et al. 2024): `side` × `side` visual tokens for each view.

    `depth` residual blocks with squeeze and excitation (RegNet's) on the cells, an average of each
    of `side` × `side` regions, as many blocks again, then `mlp_depth` matrices with SiLU between.
    `position_side`: learned positions for a square of so many cells are added first, stretched
    bicubically to other grids; None: there are none.
    """

    kind: Literal["c_abstractor"] = "c_abstractor"
    side: int = Field(default=12, ge=1)
    width: int = Field(default=1024, ge=4)
    depth: int = Field(default=3, ge=1)
    mlp_depth: int = Field(default=2, ge=1, le=3)
    position_side: int | None = Field(default=None, ge=1)
    norm_eps: float = Field(default=1e-5, gt=0)

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view. Raises SpecError for encoder rows beside the grid."""
        if rows != cells.area:
            raise SpecError(
                "connector",
                f"c_abstractor reads a grid, the encoder adds {rows - cells.area} rows",
                "use class_token: drop",
            )
        return self.side**2

    def grid(self, cells: Grid) -> Grid:
        """Rows and columns that the visual tokens of a view form."""
        return Grid(self.side, self.side)

    def blocks(self, inputs: int) -> tuple[tuple[int, int], ...]:
        """(channels in, channels squeezed to) of each block of a stage that is given `inputs`."""
        widths = (inputs, *[self.width] * (self.depth - 1))
        return tuple((wide, max(1, round(wide * 0.25))) for wide in widths)
