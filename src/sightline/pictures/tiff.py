"""TIFF: the first directory. Off unless asked for."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from sightline.pictures import exif
from sightline.pictures.header import Header, Malformed

_WIDTH, _HEIGHT = 256, 257


def read_header(stream: BinaryIO) -> Header:
    """Size as Pillow gives it, which turns TIFFs upright by itself. Raises Malformed."""
    tags = exif.first_directory(stream)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise Malformed("does not say its size")
    width, height = tags[_WIDTH], tags[_HEIGHT]
    turned = tags.get(exif.ORIENTATION, 1) in (5, 6, 7, 8)
    return Header(height, width) if turned else Header(width, height)


def count_frames(data: bytes) -> int:
    return exif.count_directories(BytesIO(data))
