"""Animated GIF and WebP as clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, ImageFile, WebPImagePlugin

from sightline.core.geometry import MediaSize
from sightline.pictures import exif, gif, webp
from sightline.pictures.colour import Rgb, flatten
from sightline.pictures.header import Malformed

Animation = Literal["GIF", "WEBP"]

_UNSAID_MS = 100  # how long browsers show a frame of no duration


def animation(head: bytes) -> Animation | None:
    """Told from the first bytes."""
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    return "WEBP" if head.startswith(b"RIFF") and head[8:12] == b"WEBP" else None


def probe(stream: BinaryIO, kind: Animation) -> tuple[MediaSize, tuple[str, ...]]:
    """Size and timing from the blocks of the file, no pixel decoded. Raises Malformed."""
    reader = gif if kind == "GIF" else webp
    stream.seek(0)
    shown = reader.read_header(stream).upright
    stream.seek(0)
    lasting = [stored or _UNSAID_MS for stored in reader.durations(stream)]
    fps = 1000 * len(lasting) / sum(lasting)
    size = MediaSize(shown.width, shown.height, len(lasting), fps, video=True)
    if len(set(lasting)) == 1:
        return size, ()
    uneven = f"frames last {min(lasting)} to {max(lasting)} ms, taken as {fps:.3g} a second"
    return size, (uneven,)


def frames(
    data: bytes, kind: Animation, wanted: Sequence[int], over: Rgb
) -> Iterator[NDArray[np.uint8]]:
    """uint8[H, W, 3] of each frame, composed with those before it as Pillow does."""
    turned = webp.read_header(BytesIO(data)).orientation if kind == "WEBP" else 1
    with _decoder(data, kind) as image:
        for number in wanted:
            try:
                image.seek(number)
                image.load()
            except (EOFError, OSError, SyntaxError, ValueError):
                raise Malformed(f"is damaged at frame {number}") from None
            yield exif.turn(flatten(image, over)[0], turned or 1)


def _decoder(data: bytes, kind: Animation) -> ImageFile.ImageFile:
    if kind == "GIF":
        return GifImagePlugin.GifImageFile(BytesIO(data))
    return WebPImagePlugin.WebPImageFile(BytesIO(data))
