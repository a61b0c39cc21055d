"""Geometry drawn on a picture, and pictures laid beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightline.core.errors import PictureError
from sightline.core.geometry import Box, Point

COLOUR = (255, 0, 200)


def drawn(rgb: NDArray[np.uint8], boxes: Sequence[Box], points: Sequence[Point]) -> Image.Image:
    """A copy of uint8[H, W, 3] with outlines; boxes and points in its pixels."""
    image = Image.fromarray(rgb)
    pen = ImageDraw.Draw(image)
    line = max(2, min(image.size) // 150)
    for box in boxes:
        pen.rectangle((box.x0, box.y0, box.x1, box.y1), outline=COLOUR, width=line)
    for point in points:
        reach = 3 * line
        pen.ellipse(
            (point.x - reach, point.y - reach, point.x + reach, point.y + reach),
            outline=COLOUR,
            width=line,
        )
    return image


def save_picture(image: Image.Image, path: Path) -> None:
    """Write in the format of the suffix. Raises PictureError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except (OSError, ValueError) as error:
        reason = "unknown suffix" if isinstance(error, ValueError) else error.strerror
        raise PictureError(
            str(path),
            f"cannot be written ({reason})",
            "name a .png or .jpg file in a folder you may write to",
        ) from None
