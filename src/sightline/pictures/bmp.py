"""BMP: the bitmap header."""

from __future__ import annotations

import struct
from typing import BinaryIO

from sightline.pictures.header import Header, Malformed, take


def read_header(stream: BinaryIO) -> Header:
    """Size; a negative height only means that rows run downwards. Raises Malformed."""
    stream.seek(14)
    (length,) = struct.unpack("<I", take(stream, 4))
    if length == 12:
        width, height = struct.unpack("<HH", take(stream, 4))
    elif length >= 40:
        width, height = struct.unpack("<ii", take(stream, 8))
    else:
        raise Malformed("has an unknown bitmap header")
    if width < 0:
        raise Malformed("has a negative width")
    return Header(width, abs(height))
