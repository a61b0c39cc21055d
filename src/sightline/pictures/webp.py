"""WebP: chunks of a RIFF file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from sightline.pictures import exif
from sightline.pictures.header import Header, Malformed, Part, bounded, payload, take

_RIFF = 12


def read_header(stream: BinaryIO) -> Header:
    """Size and orientation. Raises Malformed."""
    parts = _chunks(stream)
    first = next(parts, None)
    if first is None:
        raise Malformed("has no picture data")
    stream.seek(first.start)
    match first.name:
        case b"VP8 ":
            return _lossy(take(stream, 10))
        case b"VP8L":
            return _lossless(take(stream, 5))
        case b"VP8X":
            width, height = _extended(take(stream, 10))
            tag = next((part for part in parts if part.name == b"EXIF"), None)
            turned = 1 if tag is None else exif.orientation(payload(stream, tag))
            return Header(width, height, turned)
        case _:
            raise Malformed("begins with an unknown chunk")


def count_frames(data: bytes) -> int:
    return max(1, sum(part.name == b"ANMF" for part in _chunks(BytesIO(data))))


def durations(stream: BinaryIO) -> tuple[int, ...]:
    """Milliseconds of each frame as stored; (0,) for a still picture. Raises Malformed."""
    frames = [part for part in _chunks(stream) if part.name == b"ANMF"]
    return tuple(_milliseconds(stream, part) for part in frames) or (0,)


def _milliseconds(stream: BinaryIO, frame: Part) -> int:
    stream.seek(frame.start + 12)
    return int.from_bytes(take(stream, 3), "little")


def _lossy(head: bytes) -> Header:
    if head[3:6] != b"\x9d\x01\x2a":
        raise Malformed("has no start code in its first frame")
    width, height = struct.unpack_from("<HH", head, 6)
    return Header(width & 0x3FFF, height & 0x3FFF)


def _lossless(head: bytes) -> Header:
    if head[0] != 0x2F:
        raise Malformed("has no signature in its first frame")
    (bits,) = struct.unpack_from("<I", head, 1)
    return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)


def _extended(head: bytes) -> tuple[int, int]:
    return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1


def _chunks(stream: BinaryIO) -> Iterator[Part]:
    position, count = _RIFF, 0
    while True:
        bounded(count := count + 1)
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            return
        part = Part(head[:4], position + 8, struct.unpack_from("<I", head, 4)[0])
        yield part
        position = part.start + part.length + part.length % 2
