"""Which frames of a clip are looked at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec


class FramesSpec(Spec):
    """Frames of a clip, chosen from its header alone.

    sampling: `all`; `uniform` takes `count` frames evenly over the clip; `fps` takes so many a
    second, between `min_frames` and `max_frames` of them; `keyframes` takes those that the file
    stores whole, at most `max_frames`, evenly.
    """

    sampling: Literal["all", "uniform", "fps", "keyframes"] = "all"
    count: int | None = Field(default=None, ge=1)
    fps: float | None = Field(default=None, gt=0)
    min_frames: int = Field(default=1, ge=1)
    max_frames: int | None = Field(default=None, ge=1)
