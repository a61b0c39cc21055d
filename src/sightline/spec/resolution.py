"""How a picture becomes views: which size, which fit, which pixels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Rgb = tuple[float, float, float]


class PixelSpec(Spec):
    """Arithmetic from stored pixels to encoder input: resize in uint8, then (x/255 - mean)/std.

    `backend` names the exact resampler: `torch` (antialiased uint8 interpolation, torchvision's
    numbers) or `pillow` (Pillow's own). `over` is the colour under transparent pixels, 0..255.
    """

    backend: Literal["torch", "pillow"] = "torch"
    resample: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: Rgb = CLIP_MEAN
    std: Rgb = CLIP_STD
    over: tuple[int, int, int] = (255, 255, 255)

    @model_validator(mode="after")
    def _positive_std(self) -> PixelSpec:
        if min(self.std) <= 0:
            raise SpecError("std", f"{self.std} is not positive", "give three positive numbers")
        return self


class FixedSpec(Spec):
    """Every picture becomes one view of `size` × `size` pixels.

    fit: `squash` ignores the aspect ratio; `crop` scales the shortest edge to `shortest_edge`
    (default: size) and cuts the centre; `pad` puts the picture on a square of the mean colour.
    """

    kind: Literal["fixed"] = "fixed"
    size: int = Field(ge=1)
    fit: Literal["squash", "crop", "pad"] = "squash"
    shortest_edge: int | None = Field(default=None, ge=1)
    pixels: PixelSpec = PixelSpec()

    @model_validator(mode="after")
    def _edge_belongs_to_crop(self) -> FixedSpec:
        if self.shortest_edge is not None and self.fit != "crop":
            raise SpecError("shortest_edge", f"has no meaning with fit={self.fit}", "remove it")
        return self


ResolutionSpec = Annotated[FixedSpec, Field(discriminator=None)]
