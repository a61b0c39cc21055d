"""What a file says about itself before its pixels: shared by the readers of each format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from sightline.core.geometry import MediaSize

MAX_PARTS = 2**17


class Malformed(Exception):
    """A file that breaks its format; the text says how. The gateway adds the name and the fix."""


@dataclass(frozen=True, slots=True)
class Header:
    """Stored size and how to turn it.

    Attributes:
        width, height: pixels as stored, before turning.
        orientation: EXIF 1..8, or None where EXIF is present but unreadable.
        bits: per channel, as stored.
    """

    width: int
    height: int
    orientation: int | None = 1
    bits: int = 8

    @property
    def upright(self) -> MediaSize:
        if (self.orientation or 1) >= 5:
            return MediaSize(self.height, self.width)
        return MediaSize(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk or segment: its name, where its payload starts, how long that is."""

    name: bytes
    start: int
    length: int


def take(stream: BinaryIO, count: int) -> bytes:
    """Exactly `count` bytes. Raises Malformed where the file ends before."""
    data = stream.read(count)
    if len(data) < count:
        raise Malformed("ends inside its header")
    return data


def payload(stream: BinaryIO, part: Part) -> bytes:
    stream.seek(part.start)
    return take(stream, part.length)


def bounded(count: int) -> None:
    """Raises Malformed for a file of so many parts that walking them is the attack."""
    if count > MAX_PARTS:
        raise Malformed(f"has more than {MAX_PARTS:,} parts")
