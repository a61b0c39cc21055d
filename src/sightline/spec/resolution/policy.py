"""What every resolution policy has."""

from __future__ import annotations

from sightline.core.config import Spec
from sightline.spec.resolution.frames import FramesSpec
from sightline.spec.resolution.pixels import PixelSpec


class PolicySpec(Spec):
    """How pixels are computed, and which frames of a clip are taken."""

    pixels: PixelSpec = PixelSpec()
    video: FramesSpec = FramesSpec()

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the learned vectors that its layouts use."""
        return ()

    @property
    def text_ids(self) -> tuple[int, ...]:
        """Ids that its layouts write."""
        return ()
