"""What pictures go through on their way: each an effect with a dial."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.core.errors import DataError
from sightline.pictures.gateway import PictureSource

ORIENTATION = 0x0112  # the EXIF tag
FileKind = Literal["PNG", "JPEG"]
_CAREFUL = 95  # quality of a JPEG whose loss is not the question

# From an upright picture to the pixels that are stored under each orientation: the inverse of what
# a reader does (EXIF 2.32, 4.6.4 A).
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class Jpeg:
    """Saved as a JPEG of `quality` 1 to 95, colours at half the resolution."""

    quality: int

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 95:
            raise DataError("jpeg", f"has quality {self.quality}", "use 1 to 95")


@dataclass(frozen=True, slots=True)
class Noise:
    """Gaussian noise of standard deviation `sigma`, in values of 0..255, on every channel."""

    sigma: float
    seed: int

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise DataError("noise", f"has deviation {self.sigma:g}", "use 0 or more")


@dataclass(frozen=True, slots=True)
class Rotated:
    """Turned anticlockwise about the middle, of which the square is left that is full at any angle:
    its side is that of the picture over the square root of two."""

    degrees: float


@dataclass(frozen=True, slots=True)
class Oriented:
    """A file whose pixels lie as EXIF `orientation` 1 to 8 says: upright once that is applied."""

    orientation: int
    kind: FileKind = "PNG"

    def __post_init__(self) -> None:
        if self.orientation not in _STORED:
            raise DataError("exif", f"has orientation {self.orientation}", "use 1 to 8")


@dataclass(frozen=True, slots=True)
class Faded:
    """Mixed with its mean colour: the share `contrast` of the picture is left, and with 0 none."""

    contrast: float

    def __post_init__(self) -> None:
        if not 0 <= self.contrast <= 1:
            raise DataError("contrast", f"is {self.contrast:g}", "use 0 to 1")


Effect = Jpeg | Noise | Rotated | Oriented | Faded


def applied(effect: Effect, pixels: NDArray[np.uint8]) -> PictureSource:
    """uint8[H, W, 3] -> the same size but for `Rotated`, or the bytes of a file."""
    match effect:
        case Jpeg(quality):
            return _jpeg(Image.fromarray(pixels), quality)
        case Noise(sigma, seed):
            grain = np.random.Generator(np.random.Philox(key=seed)).standard_normal(pixels.shape)
            return _rounded(pixels + sigma * grain)
        case Rotated(degrees):
            return _rotated(pixels, degrees)
        case Oriented(orientation, kind):
            return _oriented(Image.fromarray(pixels), orientation, kind)
        case Faded(contrast):
            mean = pixels.mean((0, 1))
            return _rounded(mean + contrast * (pixels - mean))
        case _:
            assert_never(effect)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()


def _rotated(pixels: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC)
    side = math.floor(min(picture.size) / math.sqrt(2))
    left, top = ((length - side) // 2 for length in picture.size)
    return np.array(picture.crop((left, top, left + side, top + side)))


def _oriented(upright: Image.Image, orientation: int, kind: FileKind) -> bytes:
    step = _STORED[orientation]
    stored = upright if step is None else upright.transpose(step)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    out = io.BytesIO()
    match kind:
        case "PNG":
            stored.save(out, "PNG", exif=exif)
        case "JPEG":
            stored.save(out, "JPEG", quality=_CAREFUL, exif=exif)
        case _:
            assert_never(kind)
    return out.getvalue()
