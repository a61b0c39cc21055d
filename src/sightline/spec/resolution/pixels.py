"""From stored pixels to encoder input."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

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
    numbers) or `pillow` (Pillow's own). `over` is the colour under transparent pixels, 0..255;
    `around` that of the surface that a picture is laid on, the mean (cut to whole numbers) if None.
    """

    backend: Literal["torch", "pillow"] = "torch"
    resample: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: Rgb = CLIP_MEAN
    std: Rgb = CLIP_STD
    over: tuple[int, int, int] = (255, 255, 255)
    around: tuple[int, int, int] | None = None

    @model_validator(mode="after")
    def _positive_std(self) -> PixelSpec:
        if min(self.std) <= 0:
            raise SpecError("std", f"{self.std} is not positive", "give three positive numbers")
        return self
