"""GIF: the logical screen and its frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from sightline.pictures.header import Header, Malformed, take

_EXTENSION, _IMAGE, _END = b"!", b",", b";"
_MAX_BLOCKS = 2**20


def read_header(stream: BinaryIO) -> Header:
    """The screen, grown to hold the first frame, as decoders do. Raises Malformed."""
    first = next(_frames(stream), None)
    if first is None:
        raise Malformed("has no frame")
    stream.seek(6)
    width, height = struct.unpack("<HH", take(stream, 4))
    left, top, frame_width, frame_height = first
    return Header(max(width, left + frame_width), max(height, top + frame_height))


def count_frames(data: bytes) -> int:
    """Frames up to the end or the first flaw (nothing after the first frame is decoded)."""
    count = 0
    try:
        for _ in _frames(BytesIO(data)):
            count += 1
    except Malformed:
        pass
    return count


def _frames(stream: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, width and height of each frame. Raises Malformed."""
    stream.seek(10)
    _skip_palette(stream, take(stream, 3)[0])
    blocks = 0
    while (kind := take(stream, 1)) != _END:
        if kind == _IMAGE:
            left, top, width, height, flags = struct.unpack("<HHHHB", take(stream, 9))
            yield left, top, width, height
            _skip_palette(stream, flags)
        elif kind != _EXTENSION:
            raise Malformed("has an unknown block")
        take(stream, 1)
        blocks += _skip_blocks(stream, _MAX_BLOCKS - blocks)


def _skip_palette(stream: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        take(stream, 3 << ((flags & 7) + 1))


def _skip_blocks(stream: BinaryIO, most: int) -> int:
    """Blocks up to the empty one, which counts."""
    count = 1
    while length := take(stream, 1)[0]:
        take(stream, length)
        if (count := count + 1) > most:
            raise Malformed(f"has more than {_MAX_BLOCKS:,} blocks")
    return count
