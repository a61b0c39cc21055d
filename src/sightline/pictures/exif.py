"""The few numbers we read from a TIFF directory, which is also what EXIF is."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sightline.pictures.header import Malformed, take

ORIENTATION = 0x0112
_INTEGER = {3: "H", 4: "I"}
_MAX_DIRECTORIES = 1000


def orientation(exif: bytes) -> int | None:
    """1..8, 1 where it is not given, None where it cannot be read."""
    try:
        value = first_directory(BytesIO(exif.removeprefix(b"Exif\0\0"))).get(ORIENTATION, 1)
    except Malformed:
        return None
    return value if 1 <= value <= 8 else None


def turn(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """uint8[H, W, 3] as stored -> upright, contiguous, by EXIF orientation 1..8."""
    if orientation >= 5:
        rgb = rgb.transpose(1, 0, 2)
    quarter = (orientation - 1) % 4
    if quarter in (1, 2):
        rgb = rgb[:, ::-1]
    if quarter in (2, 3):
        rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)


def first_directory(stream: BinaryIO) -> dict[int, int]:
    """Tags of the first directory that hold one integer. Raises Malformed."""
    order, offset = _preamble(stream)
    tags = {}
    for tag, kind, count, value in struct.iter_unpack(
        f"{order}HHI4s", _entries(stream, order, offset)
    ):
        if count == 1 and kind in _INTEGER:
            tags[tag] = struct.unpack_from(order + _INTEGER[kind], value)[0]
    return tags


def count_directories(stream: BinaryIO) -> int:
    """Pictures in a TIFF, at most 1000. Raises Malformed."""
    order, offset = _preamble(stream)
    count = 0
    while offset and count < _MAX_DIRECTORIES:
        _entries(stream, order, offset)
        offset = struct.unpack(f"{order}I", take(stream, 4))[0]
        count += 1
    return count


def _preamble(stream: BinaryIO) -> tuple[str, int]:
    stream.seek(0)
    order = {b"II": "<", b"MM": ">"}.get(take(stream, 2))
    if order is None:
        raise Malformed("has a TIFF header without a byte order")
    magic, offset = struct.unpack(f"{order}HI", take(stream, 6))
    if magic != 42:
        raise Malformed("is not a classic TIFF")
    return order, offset


def _entries(stream: BinaryIO, order: str, offset: int) -> bytes:
    stream.seek(offset)
    (count,) = struct.unpack(f"{order}H", take(stream, 2))
    return take(stream, 12 * count)
