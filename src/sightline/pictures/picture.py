"""A decoded picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sightline.core.geometry import MediaSize


@dataclass(frozen=True, eq=False)
class Picture:
    """Upright, opaque RGB.

    Attributes:
        rgb: uint8[H, W, 3], contiguous and owned by this object. Do not write to it.
        notes: what was done on the way that a user may want to know, in words.
    """

    rgb: NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> MediaSize:
        height, width, _ = self.rgb.shape
        return MediaSize(width, height)

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex over mode, width, height and every pixel.

        Equal for the same pixels however they came in; different for the same bytes in another
        shape.
        """
        header = f"sightline picture 1\nRGB uint8 {self.size.width} {self.size.height}\n"
        digest = hashlib.sha256(header.encode())
        digest.update(self.rgb.data)
        return digest.hexdigest()
