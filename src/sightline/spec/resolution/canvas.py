"""One view on a canvas of whole tiles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.spec.resolution.pixels import PixelSpec
from sightline.spec.resolution.policy import PolicySpec


class CanvasSpec(PolicySpec):
    """A picture becomes one view, a canvas of up to `tiles` squares of `size` pixels (Mllama).

    Of all canvases the one that enlarges least, else the one that shrinks least; of several the
    smallest. The picture is scaled in its proportions into the canvas, no side beyond both `size`
    and its own, and lies in the corner at the top left; the rest is black.
    """

    kind: Literal["canvas"] = "canvas"
    size: int = Field(ge=1, description="side of a tile, in pixels")
    tiles: int = Field(default=4, ge=1)
    pixels: PixelSpec = PixelSpec(resample="bilinear")

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that a view can have."""
        return self.size
