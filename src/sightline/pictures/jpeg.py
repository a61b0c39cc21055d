"""JPEG: segments up to the first scan."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from sightline.pictures import exif
from sightline.pictures.header import Header, Malformed, Part, bounded, payload, take

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP0, _APP1, _APP14, _APP15, _COMMENT = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_SCAN, _END = 0xDA, 0xD9
_SEQUENTIAL = (0xC0, 0xC1)
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_METADATA = frozenset({*range(_APP0, _APP15 + 1), _COMMENT}) - {_APP0, _APP14}


def read_header(stream: BinaryIO) -> Header:
    """Size and orientation. Raises Malformed."""
    parts = tuple(_segments(stream))
    frames = [part for part in parts if part.name[0] in _FRAMES]
    if len(frames) != 1:
        raise Malformed(f"has {len(frames)} frame headers before its first scan")
    height, width = struct.unpack_from(">xHH", payload(stream, frames[0])[:5].ljust(5, b"\0"))
    tags = (payload(stream, part) for part in parts if part.name[0] == _APP1)
    found = next((data for data in tags if data.startswith(b"Exif\0\0")), None)
    return Header(width, height, 1 if found is None else exif.orientation(found))


def bare(data: bytes) -> bytes:
    """The same picture without metadata, and such that a short scan shows.

    libjpeg fills a picture with grey where its data ends in an end marker too early, and Pillow
    cannot tell. So a picture of one sequential scan gets zeros for its end marker, as many bytes
    as libjpeg looks ahead: where data is missing it asks for more, which Pillow reports. Pictures
    of several scans keep their marker; there only a missing one is noticed. Raises Malformed.
    """
    parts = tuple(_segments(BytesIO(data)))
    kept = [data[p.start - 4 : p.start + p.length] for p in parts if p.name[0] not in _METADATA]
    scan = parts[-1]
    start = scan.start + scan.length
    end = _AFTER_SCAN.search(data, start)
    if end is None:
        raise Malformed("is truncated")
    frame = next(part for part in parts if part.name[0] in _FRAMES)
    one_scan = data[scan.start] == data[frame.start + 5]
    whole = one_scan and frame.name[0] in _SEQUENTIAL
    rest = data[start : end.start()] + bytes(8) if whole else data[start:]
    return b"".join((b"\xff\xd8", *kept, rest))


def _segments(stream: BinaryIO) -> Iterator[Part]:
    """Segments up to and with the first scan header. Raises Malformed."""
    position, count = 2, 0
    while True:
        bounded(count := count + 1)
        stream.seek(position)
        marker = _marker(stream)
        (length,) = struct.unpack(">H", take(stream, 2))
        if length < 2:
            raise Malformed("has a segment of impossible length")
        part = Part(bytes([marker]), stream.tell(), length - 2)
        yield part
        if marker == _SCAN:
            return
        position = part.start + part.length


def _marker(stream: BinaryIO) -> int:
    if take(stream, 1) != b"\xff":
        raise Malformed("has no marker where a segment should begin")
    while (byte := take(stream, 1)) == b"\xff":
        pass
    if byte[0] < 0xC0 or 0xD0 <= byte[0] <= _END:
        raise Malformed("has no picture data")
    return byte[0]
