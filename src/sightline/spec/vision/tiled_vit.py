"""The encoder of Llama 3.2 Vision: the tiles of a canvas see each other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec.layers import Activation


class TiledVitSpec(Spec):
    """A vision transformer over all tiles of a view, at most `tiles` of `image_size` pixels.

    Each tile has a class token; learned embeddings say where patches stand in a tile and which tile
    of which arrangement it is. `depth` blocks are followed by `global_depth` gated ones. The rows
    that leave join the last block's with those after each of the blocks `taps` (channel c of all
    taps side by side).
    rows: `grid` are the patches of the view, row-major; `all` are those of every tile place, tile
    after tile, class token first, also of places that the view does not fill: Mllama's tokens
    before a picture read these too.
    """

    kind: Literal["tiled_vit"] = "tiled_vit"
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    global_depth: int = Field(ge=0)
    heads: int = Field(ge=1)
    mlp_width: int = Field(ge=1)
    patch: int = Field(ge=1)
    image_size: int = Field(ge=1, description="side of a tile, in pixels")
    tiles: int = Field(default=4, ge=1)
    taps: tuple[Annotated[int, Field(ge=0)], ...] = ()
    rows: Literal["grid", "all"] = "grid"
    activation: Activation = "gelu"
    norm_eps: float = Field(default=1e-5, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> TiledVitSpec:
        if self.width % self.heads:
            raise SpecError(
                "heads", f"{self.heads} does not divide width {self.width}", "choose a divisor"
            )
        if self.image_size % self.patch:
            raise SpecError(
                "patch",
                f"{self.patch} does not divide tiles of {self.image_size}",
                "choose another",
            )
        if beyond := [tap for tap in self.taps if tap >= self.depth]:
            raise SpecError(
                "taps", f"{beyond[0]} is not one of {self.depth} blocks", f"use 0..{self.depth - 1}"
            )
        return self

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def tile_grid(self) -> Grid:
        """Patches of one tile."""
        side = self.image_size // self.patch
        return Grid(side, side)

    @property
    def tile_rows(self) -> int:
        """Patches and class token of one tile."""
        return self.tile_grid.area + 1

    @property
    def padded_rows(self) -> int:
        """Rows of one tile inside the encoder: a multiple of eight."""
        return -(-self.tile_rows // 8) * 8

    @property
    def arrangements(self) -> tuple[Grid, ...]:
        """Every grid of tiles that a view can be, in the order of the learned embeddings."""
        sides = range(1, self.tiles + 1)
        return tuple(Grid(r, c) for r in sides for c in sides if r * c <= self.tiles)

    @property
    def out_width(self) -> int:
        """Channels of the rows that leave."""
        return self.width * (1 + len(self.taps))

    @property
    def frames_per_view(self) -> int:
        """Frames of a clip that one view holds."""
        return 1

    def grid(self, width: int, height: int) -> Grid:
        """Patches of a view of `width` × `height` pixels."""
        return Grid(height // self.patch, width // self.patch)

    def arrangement(self, cells: Grid) -> Grid:
        """The tiles of a view of `cells` patches. Raises SpecError for no such arrangement."""
        side = self.tile_grid.rows
        found = Grid(cells.rows // side, cells.cols // side)
        if cells.rows % side or cells.cols % side or found not in self.arrangements:
            raise SpecError(
                "vision.image_size",
                f"{cells.cols} × {cells.rows} patches are not up to {self.tiles} tiles of {side}",
                "use resolution canvas with the same size and tiles",
            )
        return found

    def tokens(self, grid: Grid) -> int:
        """Rows that leave the encoder for one view."""
        return self.tiles * self.tile_rows if self.rows == "all" else grid.area

    def padding(self, grid: Grid) -> int:
        """Those of them, at the end, that show no part of the view."""
        if self.rows == "grid":
            return 0
        return (self.tiles - self.arrangement(grid).area) * self.tile_rows
