"""How media become views: which size, which fit, which pixels, which frames."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.spec.resolution.anyres import AnyresSpec, ClipSpec, PoolSpec
from sightline.spec.resolution.canvas import CanvasSpec
from sightline.spec.resolution.fixed import FixedSpec
from sightline.spec.resolution.frames import FramesSpec
from sightline.spec.resolution.longest_edge import LongestEdgeSpec
from sightline.spec.resolution.native import NativeSpec, PixelRange, TimestampSpec
from sightline.spec.resolution.pixels import (
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PixelSpec,
    Rgb,
)
from sightline.spec.resolution.row_tiling import RowTagsSpec, RowTilingSpec
from sightline.spec.resolution.tiling import TilingSpec

ResolutionSpec = Annotated[
    FixedSpec | AnyresSpec | TilingSpec | RowTilingSpec | CanvasSpec | NativeSpec | LongestEdgeSpec,
    Field(discriminator="kind"),
]

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "AnyresSpec",
    "CanvasSpec",
    "ClipSpec",
    "FixedSpec",
    "FramesSpec",
    "LongestEdgeSpec",
    "NativeSpec",
    "PixelRange",
    "PixelSpec",
    "PoolSpec",
    "ResolutionSpec",
    "Rgb",
    "RowTagsSpec",
    "RowTilingSpec",
    "TilingSpec",
    "TimestampSpec",
]
