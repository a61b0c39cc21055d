"""Whether something holds a picture, a clip or a document."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from sightline.core.errors import PictureError
from sightline.pictures.animated import animation
from sightline.pictures.containers import container
from sightline.pictures.kinds import HEAD_BYTES
from sightline.pictures.limits import FileLimits
from sightline.pictures.source import Sort, opened

MediaSort = Literal["image", "video", "document"]

_ANY = Sort("media", ("",))


def sort_of(source: object, *, moving: bool = False) -> MediaSort:
    """What a source holds, told from the first bytes of a file and never from its name.

    A list and an array of four axes are clips. An animated GIF or WebP is a picture (its first
    frame) unless `moving` asks for a clip. What cannot be read is called a picture, too: opening it
    says what is wrong.
    """
    if isinstance(source, list | tuple) or (isinstance(source, np.ndarray) and source.ndim == 4):
        return "video"
    if not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        return "image"
    try:
        with opened(source, FileLimits(max_bytes=2**62), _ANY) as stream:
            head = stream.read(HEAD_BYTES)
    except PictureError:
        return "image"
    if b"%PDF" in head:
        return "document"
    return "video" if container(head) or (moving and animation(head)) else "image"
