"""Video files: which container one is in, and whether it holds all that it says."""

from __future__ import annotations

import struct
from typing import BinaryIO, Literal

from sightline.pictures.header import Malformed, bounded, take

# The names that FFmpeg has for them. One of these is always asked for, so that no playlist and no
# script, which could name other files, is ever read as a video.
Container = Literal["mov", "matroska", "avi", "mpegts", "mpeg", "ogg", "flv", "asf"]

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_MAGIC: tuple[tuple[bytes, Container], ...] = (
    (_EBML, "matroska"),
    (b"OggS", "ogg"),
    (b"FLV\x01", "flv"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_STILL = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"hevx")
_TS_PACKET = 188


def container(head: bytes) -> Container | None:
    """Told from the first bytes; None for what is no video file that we read."""
    if head[4:8] in _BOXES:
        return None if head[4:8] == b"ftyp" and head[8:12] in _STILL else "mov"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"G") and head[_TS_PACKET : _TS_PACKET + 1] == b"G":
        return "mpegts"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def check_whole(stream: BinaryIO, kind: Container) -> None:
    """Raises Malformed where the container says that it is longer than the file."""
    length = stream.seek(0, 2)
    match kind:
        case "mov":
            end = _boxes_end(stream, length)
        case "matroska":
            end = _segment_end(stream)
        case "avi":
            stream.seek(4)
            end = 8 + int(struct.unpack("<I", take(stream, 4))[0])
        case _:
            end = 0
    if end > length:
        raise Malformed(f"is truncated: it has {length:,} of {end:,} bytes")


def _boxes_end(stream: BinaryIO, length: int) -> int:
    position = count = 0
    while position + 8 <= length:
        bounded(count := count + 1)
        stream.seek(position)
        (size,) = struct.unpack(">I4x", take(stream, 8))
        if size == 1:
            (size,) = struct.unpack(">Q", take(stream, 8))
        if size == 0:  # to the end of the file
            return length
        if size < 8:
            raise Malformed("has a box without a size")
        position += size
    return position


def _segment_end(stream: BinaryIO) -> int:
    """The end of the first segment; 0 where it is of unknown size, as in live recordings."""
    stream.seek(4)
    size = _number(stream)
    stream.seek(size or 0, 1)
    if take(stream, 4) != _SEGMENT:
        return 0
    size = _number(stream)
    return 0 if size is None else stream.tell() + size


def _number(stream: BinaryIO) -> int | None:
    """A length as EBML writes it, None for the one that means unknown."""
    first = take(stream, 1)[0]
    if not first:
        raise Malformed("has a length of over eight bytes")
    extra = 8 - first.bit_length()
    value = int.from_bytes(bytes([first & (0x7F >> extra)]) + take(stream, extra), "big")
    return None if value == (1 << 7 * (extra + 1)) - 1 else value
