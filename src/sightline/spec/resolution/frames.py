"""Which frames of a clip are looked at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError

Placing = Literal["starts", "middles", "nearest", "below"]


class FramesSpec(Spec):
    """Frames of a clip, chosen from its header alone.

    sampling: `all`; `uniform` takes `count` frames; `fps` takes so many a second, and at least
    `min_frames`; `keyframes` takes those that the file stores whole (all, where it says of none).
    Whatever the sampling, there are at most `max_frames`, never more than the clip has, and, of
    `uniform` and `fps`, whole multiples of `multiple` where the clip has as many.

    Where n of F frames are taken, `placing` says which: `starts` ⌊iF/n⌋, `middles` ⌊(i+½)F/n⌋,
    `nearest` and `below` n places evenly from the first to the last frame, to the nearest (of two,
    the even one) or cut down. These are, in transformers 5.23, the default `sample_frames` with
    Qwen2-VL's, InternVL's, Qwen3-VL's and SmolVLM's.

    `rounding` is of seconds times `fps`. `skip_s` seconds are left out at both ends of a clip that
    lasts longer than 2 · skip_s + max_frames · fps seconds (SmolVLM's condition, as it stands).
    """

    sampling: Literal["all", "uniform", "fps", "keyframes"] = "all"
    count: int | None = Field(default=None, ge=1)
    fps: float | None = Field(default=None, gt=0)
    min_frames: int = Field(default=1, ge=1)
    max_frames: int | None = Field(default=None, ge=1)
    multiple: int = Field(default=1, ge=1)
    placing: Placing = "starts"
    rounding: Literal["down", "nearest"] = "down"
    skip_s: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _sampling_has_its_number(self) -> FramesSpec:
        for sampling, field in (("uniform", "count"), ("fps", "fps")):
            given = getattr(self, field) is not None
            if self.sampling == sampling and not given:
                raise SpecError(field, f"is missing with sampling={sampling}", "give it")
            if self.sampling != sampling and given:
                raise SpecError(field, f"has no meaning with {self.sampling}", "remove it")
        return self
