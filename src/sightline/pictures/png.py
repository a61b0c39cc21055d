"""PNG: chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from sightline.pictures import exif
from sightline.pictures.header import Header, Malformed, Part, bounded, payload

_SIGNATURE = 8
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def read_header(stream: BinaryIO) -> Header:
    """Size, orientation and depth. Raises Malformed."""
    parts = _chunks(stream)
    first = next(parts, None)
    if first is None or first.name != b"IHDR" or first.length != 13:
        raise Malformed("does not begin with a PNG header")
    width, height, bits = struct.unpack_from(">IIB", payload(stream, first))
    tag = next((part for part in parts if part.name == b"eXIf"), None)
    turned = 1 if tag is None else exif.orientation(payload(stream, tag))
    return Header(width, height, turned, bits)


def bare(data: bytes) -> bytes:
    """The same picture without text, profiles and animation, checksums verified.

    Pillow leaves rows black where the pixel stream ends too early. A stream without
    the last byte of its checksum never ends: Pillow asks for more instead, and reports that there
    is none, unless all rows are there. Raises Malformed.
    """
    parts = tuple(_chunks(BytesIO(data)))
    if not parts or parts[-1].name != b"IEND":
        raise Malformed("is truncated")
    bodies = [(part.name, _verified(data, part)) for part in parts if part.name in _PIXELS]
    head = [_chunk(name, body) for name, body in bodies if name not in (b"IDAT", b"IEND")]
    pixels = b"".join(body for name, body in bodies if name == b"IDAT")
    tail = _chunk(b"IDAT", pixels[:-1]), _chunk(b"IEND", b"")
    return b"".join((data[:_SIGNATURE], *head, *tail))


def count_frames(data: bytes) -> int:
    """Frames of an animated PNG as it states them, 1 for a still one."""
    stream = BytesIO(data)
    control = next((part for part in _chunks(stream) if part.name == b"acTL"), None)
    if control is None or control.length != 8:
        return 1
    return max(1, int(struct.unpack_from(">I", payload(stream, control))[0]))


def _verified(data: bytes, part: Part) -> memoryview:
    chunk = memoryview(data)[part.start - 4 : part.start + part.length + 4]
    if len(chunk) < part.length + 8:
        raise Malformed("is truncated")
    if zlib.crc32(chunk[:-4]) != struct.unpack(">I", chunk[-4:])[0]:
        raise Malformed(f"has a wrong checksum in {part.name.decode()}")
    return chunk[4:-4]


def _chunk(name: bytes, body: bytes | memoryview) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(name))
    return b"".join((struct.pack(">I", len(body)), name, body, struct.pack(">I", checksum)))


def _chunks(stream: BinaryIO) -> Iterator[Part]:
    """Chunks up to and with the end chunk, or to the end of the file. Raises Malformed."""
    position, count = _SIGNATURE, 0
    while True:
        bounded(count := count + 1)
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            return
        part = Part(head[4:], position + 8, struct.unpack_from(">I", head)[0])
        yield part
        if part.name == b"IEND":
            return
        position = part.start + part.length + 4
