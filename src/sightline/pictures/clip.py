"""Decoded frames of a clip."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sightline.core.geometry import Size


@dataclass(frozen=True, eq=False)
class Clip:
    """Upright, opaque RGB of some frames of a clip.

    Attributes:
        rgb: uint8[F, H, W, 3], contiguous and owned by this object. Do not write to it.
        frames: which frames of the clip these are, ascending.
        notes: what was done on the way that a user may want to know, in words.
    """

    rgb: NDArray[np.uint8]
    frames: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> Size:
        """Of one frame."""
        _, height, width, _ = self.rgb.shape
        return Size(width, height)

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex over mode, size, which frames these are, and every pixel."""
        count, height, width, _ = self.rgb.shape
        header = f"sightline clip 1\nRGB uint8 {width} {height} {count}\n{self.frames}\n"
        digest = hashlib.sha256(header.encode())
        digest.update(self.rgb.data)
        return digest.hexdigest()
