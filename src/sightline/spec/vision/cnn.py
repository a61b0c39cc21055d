"""A convolutional backbone of timm, whose last feature map is the grid."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.geometry import Grid


class CnnSpec(Spec):
    """A backbone of timm (Wightman 2019), `backbone` being its name there (extra `towers`).

    `stage`: the feature map that leaves, counted as timm's `features_only` counts; None is the
    last, after whatever timm does before it pools (`forward_features`).
    `patch` is the side in pixels of what one cell stands for, `width` the channels of a cell.
    The other numbers are for the planner: `cell_macs` multiply-adds for each cell that leaves,
    `view_macs` those of a view whatever its size (squeeze and excitation), `cell_numbers` what all
    convolutions put out, for each cell. `sightline.vision.cnn.measured` finds them all; those of
    ResNet-50 and the NFNets are in `families/timm.py`.
    """

    kind: Literal["cnn"] = "cnn"
    backbone: str = Field(min_length=1)
    stage: int | None = Field(default=None, ge=0)
    width: int = Field(ge=1)
    patch: int = Field(ge=1)
    parameters: int = Field(ge=0)
    cell_macs: int = Field(ge=0)
    view_macs: int = Field(default=0, ge=0)
    cell_numbers: int = Field(ge=0)

    def grid(self, width: int, height: int) -> Grid:
        """Cells of a view of `width` × `height` pixels (a rest smaller than a cell is cut)."""
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
