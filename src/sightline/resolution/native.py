"""One view at the picture's own shape: Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence

from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize, Size
from sightline.resolution.count import features
from sightline.resolution.frames import Group
from sightline.resolution.layout import Canvas, Segment, Text, View
from sightline.spec import ModelSpec, NativeSpec
from sightline.spec.resolution import PixelRange, TimestampSpec

FRAMES_PER_SECOND = 24.0  # taken for a clip whose header does not say, as the reference does


def lay(
    spec: ModelSpec, policy: NativeSpec, media: MediaSize, frames: Sequence[Group]
) -> tuple[tuple[View, ...], tuple[Segment, ...]]:
    """A view of one size for every group of frames, in the order of time.

    Raises PictureError for media of too extreme a shape.
    """
    size = view_size(policy, media, len({frame for group in frames for frame in group}))
    views = tuple(View(0, Canvas(media.size), size, Canvas(size), group) for group in frames)
    times = _times(policy, media, frames) if media.video else range(len(views))
    runs = [
        features(spec, view, i, time)
        for (i, view), time in zip(enumerate(views), times, strict=True)
    ]
    if policy.timestamps is None or not media.video:
        return views, tuple(runs)
    stamped: list[Segment] = []
    for run, group in zip(runs, frames, strict=True):
        stamped += [_stamp(policy.timestamps, media, group), run, Text(policy.timestamps.end)]
    return views, tuple(stamped)


def view_size(policy: NativeSpec, media: MediaSize, taken: int) -> Size:
    """What each view is resized to, of a picture or of a clip of which `taken` frames are seen."""
    if not media.video:
        return smart_resize(media.size, policy, policy.pictures)
    pixels = policy.clips or policy.pictures
    if pixels.of == "frame":
        return smart_resize(media.size, policy, pixels)
    if taken < 2:
        raise PictureError("video", "has one frame", "give it as a picture")
    return smart_resize(_at_least(policy.multiple, media.size), policy, pixels, taken)


def smart_resize(size: Size, policy: NativeSpec, pixels: PixelRange, frames: int = 1) -> Size:
    """The multiple of `multiple` that is nearest, scaled into the range (Qwen2-VL).

    Halves are rounded to even, as Python does. A clip with a budget of its own counts its `frames`.
    """
    m, even = policy.multiple, 1 if frames == 1 else round(frames / 2) * 2
    ratio = max(size.width, size.height) / min(size.width, size.height)
    if ratio > policy.max_ratio:
        raise PictureError(
            "picture",
            f"of {size.width} × {size.height} pixels is {ratio:.0f} times as long as wide",
            f"cut it: {policy.max_ratio:g} times is the most",
        )
    width, height = round(size.width / m) * m, round(size.height / m) * m
    if even * height * width > pixels.max_pixels:
        shrink = math.sqrt((frames * size.height * size.width) / pixels.max_pixels)
        width = max(m, math.floor(size.width / shrink / m) * m)
        height = max(m, math.floor(size.height / shrink / m) * m)
    elif even * height * width < pixels.min_pixels:
        grow = math.sqrt(pixels.min_pixels / (frames * size.height * size.width))
        width, height = math.ceil(size.width * grow / m) * m, math.ceil(size.height * grow / m) * m
    return Size(width, height)


def shrunk(policy: NativeSpec, fits: Callable[[NativeSpec], bool]) -> NativeSpec:
    """The policy with the largest max_pixels that `fits`, at least min_pixels whether or not.

    Clips give up the same part of their range as pictures.
    """
    span = policy.pictures.max_pixels - policy.pictures.min_pixels
    low, high = 0, span
    while low < high:
        middle = (low + high + 1) // 2
        if fits(_lowered(policy, middle, span)):
            low = middle
        else:
            high = middle - 1
    return _lowered(policy, low, span)


def _lowered(policy: NativeSpec, kept: int, span: int) -> NativeSpec:
    """The policy with `kept` of `span` parts of its ranges above their least."""
    if kept == span:
        return policy
    changes = {"pictures": _part(policy.pictures, kept, span)}
    if policy.clips is not None:
        changes["clips"] = _part(policy.clips, kept, span)
    return policy.model_copy(update=changes)


def _part(pixels: PixelRange, kept: int, span: int) -> PixelRange:
    above = (pixels.max_pixels - pixels.min_pixels) * kept // span
    return pixels.model_copy(update={"max_pixels": pixels.min_pixels + above})


def _at_least(multiple: int, size: Size) -> Size:
    """Sides shorter than one multiple grow to it first, where a clip has one budget."""
    if min(size.width, size.height) >= multiple:
        return size
    scale = max(multiple / size.height, multiple / size.width)
    return Size(int(size.width * scale), int(size.height * scale))


def _times(policy: NativeSpec, media: MediaSize, frames: Sequence[Group]) -> Iterable[int]:
    """The place of each view on the time axis; absolute time is cut to whole numbers.

    The reference multiplies in float32: the cut depends on it.
    """
    if policy.tokens_per_second is None:
        return range(len(frames))
    taken = len({frame for group in frames for frame in group})
    fps = taken / media.frames * (media.fps or FRAMES_PER_SECOND)
    interval = _float32(policy.tokens_per_second * _float32(len(frames[0]) / fps))
    return [int(_float32(i * interval)) for i in range(len(frames))]


def _float32(value: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _stamp(stamps: TimestampSpec, media: MediaSize, group: Group) -> Text:
    """The time in the middle between the first and the last frame of a view."""
    fps = media.fps or FRAMES_PER_SECOND
    return Text(stamps.ids((group[0] / fps + group[-1] / fps) / 2))
