"""What connectors have that make one visual token of a square of patches."""

from __future__ import annotations

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid


class SquaresSpec(Spec):
    """`side` × `side` cells of the encoder's grid become one token."""

    side: int = Field(default=2, ge=1)

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view with `rows` encoder rows, `cells` of them a grid.

        Raises SpecError for rows beside the grid, and for a grid that the squares do not fill.
        """
        if rows != cells.area:
            raise SpecError(
                "connector",
                f"joins squares of a grid, the encoder adds {rows - cells.area} rows",
                "use class_token: drop",
            )
        return self.grid(cells).area

    def grid(self, cells: Grid) -> Grid:
        """Rows and columns that the visual tokens of a view form."""
        if cells.rows % self.side or cells.cols % self.side:
            raise SpecError(
                "connector.side",
                f"{self.side} does not divide a grid of {cells.rows} × {cells.cols} cells",
                "choose a divisor, or another size of views",
            )
        return Grid(cells.rows // self.side, cells.cols // self.side)
