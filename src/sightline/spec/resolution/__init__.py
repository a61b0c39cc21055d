"""How media become views: which size, which fit, which pixels, which frames."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.spec.resolution.fixed import FixedSpec
from sightline.spec.resolution.frames import FramesSpec
from sightline.spec.resolution.pixels import (
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PixelSpec,
    Rgb,
)

ResolutionSpec = Annotated[FixedSpec, Field(discriminator=None)]

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "FixedSpec",
    "FramesSpec",
    "PixelSpec",
    "ResolutionSpec",
    "Rgb",
]
