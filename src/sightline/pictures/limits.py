"""What the gateway lets in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.errors import PictureError

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


class PictureLimits(Spec):
    """Bounds that are checked on the file's size and header, before any pixel is decoded.

    `max_bytes` bounds the encoded file, `max_pixels` and `min_side` the decoded picture;
    `formats` are told by content, never by a file's name. TIFF has to be asked for.
    """

    max_bytes: int = Field(default=64 * 2**20, ge=1)
    max_pixels: int = Field(default=64 * 2**20, ge=1)
    min_side: int = Field(default=1, ge=1)
    formats: tuple[Format, ...] = Field(default=("JPEG", "PNG", "WEBP", "GIF", "BMP"), min_length=1)

    def check_bytes(self, name: str, count: int) -> None:
        """Raises PictureError for an empty file or one over `max_bytes`."""
        if count == 0:
            raise PictureError(name, "is empty", "give a picture with content")
        if count > self.max_bytes:
            raise PictureError(
                name,
                f"has {count:,} bytes, the limit is {self.max_bytes:,}",
                "compress it or raise max_bytes",
            )

    def check_size(self, name: str, width: int, height: int) -> None:
        """Raises PictureError for a picture with too few or too many pixels."""
        if min(width, height) < self.min_side:
            raise PictureError(
                name,
                f"is {width} × {height} pixels, the shortest side must be {self.min_side}",
                "give a larger picture",
            )
        if width * height > self.max_pixels:
            raise PictureError(
                name,
                f"is {width} × {height} pixels, the limit is {self.max_pixels:,} in all",
                "scale it down or raise max_pixels",
            )


DEFAULT_LIMITS = PictureLimits()
