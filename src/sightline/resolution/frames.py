"""Which frames of a clip are looked at, and which of them share a view."""

from __future__ import annotations

from typing import assert_never

from sightline.core.errors import SpecError
from sightline.core.geometry import MediaSize
from sightline.spec import FramesSpec

Group = tuple[int, ...]


def groups(spec: FramesSpec, media: MediaSize, per_view: int) -> tuple[Group, ...]:
    """Frames of one media item, `per_view` to a view; the last frame fills up the last group."""
    taken = sampled(spec, media) if media.video else tuple(range(media.frames))
    rest = -len(taken) % per_view
    filled = (*taken, *taken[-1:] * rest)
    return tuple(filled[i : i + per_view] for i in range(0, len(filled), per_view))


def sampled(spec: FramesSpec, media: MediaSize) -> tuple[int, ...]:
    """The frames of a clip that are taken, in order."""
    match spec.sampling:
        case "all":
            return tuple(range(media.frames))
        case "uniform" | "fps" | "keyframes":
            raise SpecError("video.sampling", f"{spec.sampling} is not built", "use all")
        case _:
            assert_never(spec.sampling)
