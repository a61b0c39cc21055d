"""GIF: the logical screen and its frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, NamedTuple

from sightline.pictures.header import Header, Malformed, take

_EXTENSION, _IMAGE, _END = b"!", b",", b";"
_CONTROL = b"\xf9"
_MAX_BLOCKS = 2**20


def read_header(stream: BinaryIO) -> Header:
    """The screen, grown to hold the first frame, as decoders do. Raises Malformed."""
    first = next(_frames(stream), None)
    if first is None:
        raise Malformed("has no frame")
    stream.seek(6)
    width, height = struct.unpack("<HH", take(stream, 4))
    return Header(max(width, first.right), max(height, first.bottom))


def count_frames(data: bytes) -> int:
    """Frames up to the end or the first flaw (nothing after the first frame is decoded)."""
    count = 0
    try:
        for _ in _frames(BytesIO(data)):
            count += 1
    except Malformed:
        pass
    return count


def durations(stream: BinaryIO) -> tuple[int, ...]:
    """Milliseconds of each frame as stored, 0 where the file does not say. Raises Malformed."""
    return tuple(frame.milliseconds for frame in _frames(stream))


class _Frame(NamedTuple):
    right: int
    bottom: int
    milliseconds: int


def _frames(stream: BinaryIO) -> Iterator[_Frame]:
    """Each frame, as its blocks say. Raises Malformed."""
    stream.seek(10)
    _skip_palette(stream, take(stream, 3)[0])
    blocks = hundredths = 0
    while (kind := take(stream, 1)) != _END:
        if kind == _IMAGE:
            left, top, width, height, flags = struct.unpack("<HHHHB", take(stream, 9))
            yield _Frame(left + width, top + height, 10 * hundredths)
            _skip_palette(stream, flags)
            hundredths = 0
        elif kind != _EXTENSION:
            raise Malformed("has an unknown block")
        if take(stream, 1) == _CONTROL and kind == _EXTENSION:
            hundredths = _delay(stream)
        blocks += _skip_blocks(stream, _MAX_BLOCKS - blocks)


def _delay(stream: BinaryIO) -> int:
    """The delay of a control block that begins here; the stream stays where it is."""
    start = stream.tell()
    length, _, hundredths = struct.unpack("<BBH", take(stream, 4))
    stream.seek(start)
    return hundredths if length == 4 else 0


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
