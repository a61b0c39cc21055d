"""Clips among the media of a conversation: as one item or one a frame, and with fewer frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sightline.core.geometry import MediaSize
from sightline.resolution.frames import sampled
from sightline.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Item:
    """What is laid out on its own: a picture, a clip, or the frame `frame` of a clip that is read
    as pictures. `source` is the number of the media item that it belongs to."""

    media: MediaSize
    source: int
    frame: int | None = None


def items(spec: ModelSpec, media: Sequence[MediaSize]) -> Iterator[Item]:
    """The items of a conversation's media, in order."""
    for source, given in enumerate(media):
        if spec.prompt.frames is None or not given.video:
            yield Item(given, source)
            continue
        still = replace(given, frames=1, keyframes=())
        for frame in sampled(spec.resolution.video, given):
            yield Item(still, source, frame)


def with_fewer_frames(
    spec: ModelSpec, media: Sequence[MediaSize], fits: Callable[[ModelSpec], bool]
) -> ModelSpec:
    """`spec` with the largest `max_frames` for all clips that `fits`, or with 1 if none does.

    Searched by halves, as if fewer frames never took more tokens.
    """
    video = spec.resolution.video
    most = max((len(sampled(video, item)) for item in media if item.video), default=1)
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(_capped(spec, middle)):
            low = middle
        else:
            high = middle - 1
    return _capped(spec, low)


def _capped(spec: ModelSpec, frames: int) -> ModelSpec:
    video = spec.resolution.video
    fewer = video.model_copy(update={"max_frames": min(frames, video.max_frames or frames)})
    resolution = spec.resolution.model_copy(update={"video": fewer})
    return spec.model_copy(update={"resolution": resolution})
