"""Arrays that hold a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import PictureError
from sightline.pictures.colour import Notes, Rgb, narrow, over_background
from sightline.pictures.limits import PictureLimits

_NAME = "image array"


def from_array(
    array: NDArray[Any], limits: PictureLimits, over: Rgb
) -> tuple[NDArray[np.uint8], Notes]:
    """[H, W] or [H, W, 1 | 3 | 4] -> uint8[H, W, 3], a copy.

    uint8 is taken as it is, uint16 as value / 257 to the nearest, float16/32/64 as 0..1 times 255
    to the nearest. Nothing is guessed: channels come last. Raises PictureError.
    """
    check_shape(array, limits)
    values = _to_uint8(array)
    values = values[..., None] if values.ndim == 2 else values
    match values.shape[2]:
        case 1:
            return np.repeat(values, 3, axis=2), ()
        case 3:
            return np.array(values, order="C"), ()
        case _:
            return over_background(np.ascontiguousarray(values), over)


def check_shape(array: NDArray[Any], limits: PictureLimits) -> None:
    """Raises PictureError for anything but a height, a width and perhaps channels within limits."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PictureError(
            _NAME,
            f"has shape {list(array.shape)}",
            "give [height, width] or [height, width, channels] with 1, 3 or 4 channels last",
        )
    limits.check_size(_NAME, array.shape[1], array.shape[0])


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return narrow(array)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise PictureError(_NAME, f"is of {array.dtype}", "give uint8, uint16 or float in 0..1")
    if not (array.min() >= 0 and array.max() <= 1):
        raise PictureError(
            _NAME,
            f"has values {array.min()} to {array.max()}",
            "scale them to 0..1, or give uint8",
        )
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
