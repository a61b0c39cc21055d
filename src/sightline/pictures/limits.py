"""What the gateway lets in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.errors import PictureError

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


class FileLimits(Spec):
    """`max_bytes` bounds an encoded file."""

    max_bytes: int = Field(default=64 * 2**20, ge=1)

    def check_bytes(self, name: str, count: int) -> None:
        """Raises PictureError for an empty file or one over `max_bytes`."""
        if count == 0:
            raise PictureError(name, "is empty", "give a file with content")
        if count > self.max_bytes:
            raise PictureError(
                name,
                f"has {count:,} bytes, the limit is {self.max_bytes:,}",
                "compress it or raise max_bytes",
            )


class PictureLimits(FileLimits):
    """Bounds that are checked on the file's size and header, before any pixel is decoded.

    `max_bytes` bounds the encoded file, `max_pixels` and `min_side` the decoded picture;
    `formats` are told by content, never by a file's name. TIFF has to be asked for.
    """

    max_pixels: int = Field(default=64 * 2**20, ge=1)
    min_side: int = Field(default=1, ge=1)
    formats: tuple[Format, ...] = Field(default=("JPEG", "PNG", "WEBP", "GIF", "BMP"), min_length=1)

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


class ClipLimits(FileLimits):
    """Bounds on clips, checked on size and header: `max_frames` of the file, `max_pixels` of one
    frame, and `max_total_pixels` of all frames that are decoded."""

    max_bytes: int = Field(default=2 * 2**30, ge=1)
    max_frames: int = Field(default=2**18, ge=1)
    max_pixels: int = Field(default=32 * 2**20, ge=1)
    max_total_pixels: int = Field(default=512 * 2**20, ge=1)

    def check_clip(self, name: str, width: int, height: int, frames: int) -> None:
        """Raises PictureError for a clip without frames or over a limit."""
        if frames < 1:
            raise PictureError(name, "has no frames", "give a clip with at least one")
        if frames > self.max_frames:
            raise PictureError(
                name,
                f"has {frames:,} frames, the limit is {self.max_frames:,}",
                "cut it or raise max_frames",
            )
        self.check_frame(name, width, height)

    def check_frame(self, name: str, width: int, height: int) -> None:
        """Raises PictureError for frames without pixels or with too many."""
        if not 0 < width * height <= self.max_pixels:
            raise PictureError(
                name,
                f"has frames of {width} × {height} pixels, the limit is {self.max_pixels:,} in all",
                "scale it down or raise max_pixels",
            )

    def check_decoded(self, name: str, width: int, height: int, frames: int) -> None:
        """Raises PictureError where the frames asked for are too much together."""
        if width * height * frames > self.max_total_pixels:
            raise PictureError(
                name,
                f"would give {frames:,} frames of {width} × {height} pixels, the limit is "
                f"{self.max_total_pixels:,} pixels in all",
                "take fewer frames or raise max_total_pixels",
            )


class DocumentLimits(FileLimits):
    """Bounds on documents, checked before a page is drawn: `max_pages` that are drawn of one,
    `max_pixels` of a page, `max_total_pixels` of them together."""

    max_bytes: int = Field(default=256 * 2**20, ge=1)
    max_pages: int = Field(default=256, ge=1)
    max_pixels: int = Field(default=64 * 2**20, ge=1)
    max_total_pixels: int = Field(default=1024 * 2**20, ge=1)


DEFAULT_LIMITS = PictureLimits()
DEFAULT_CLIP_LIMITS = ClipLimits()
DEFAULT_DOCUMENT_LIMITS = DocumentLimits()
