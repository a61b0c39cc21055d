"""A square of learned queries that read a view where they stand."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid


class GridResamplerSpec(Spec):
    """Position-aware adapter (Qwen-VL, Bai et al. 2023): `side` × `side` queries, one attention.

    Sines and cosines of row and column are added to queries and keys, so that a query finds the
    cells around its own place; a norm and a matrix follow. All is as wide as the language model.
    """

    kind: Literal["grid_resampler"] = "grid_resampler"
    side: int = Field(default=16, ge=1)
    heads: int = Field(default=32, ge=1)
    norm_eps: float = Field(default=1e-6, gt=0)

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view. Raises SpecError for encoder rows beside the grid."""
        if rows != cells.area:
            raise SpecError(
                "connector",
                f"grid_resampler reads a grid, the encoder adds {rows - cells.area} rows",
                "use class_token: drop",
            )
        return self.side**2

    def grid(self, cells: Grid) -> Grid:
        """Rows and columns that the visual tokens of a view form."""
        return Grid(self.side, self.side)
