"""Which frames of a clip are looked at, and which of them share a view."""

from __future__ import annotations

from typing import assert_never

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
    """The frames of a clip that are taken: ascending, each once, at least one.

    A clip that does not say how many frames a second it has is taken to have those of the spec.
    """
    most = min(media.frames, spec.max_frames or media.frames)
    match spec.sampling:
        case "all":
            return placed(spec, 0, media.frames, most)
        case "uniform":
            return placed(spec, 0, media.frames, _whole(spec, spec.count or most, most))
        case "keyframes":
            whole = media.keyframes or range(media.frames)
            return tuple(whole[i] for i in placed(spec, 0, len(whole), min(most, len(whole))))
        case "fps":
            first, stop = _kept(spec, media)
            wanted = max(_wanted(spec, media), spec.min_frames)
            return placed(spec, first, stop, _whole(spec, wanted, most))
        case _:
            assert_never(spec.sampling)


def placed(spec: FramesSpec, first: int, stop: int, count: int) -> tuple[int, ...]:
    """`count` of the frames from `first` to before `stop`, fewer if there are fewer."""
    frames = stop - first
    n = min(count, frames)
    match spec.placing:
        case "starts":
            return tuple(first + i * frames // n for i in range(n))
        case "middles":
            return tuple(first + (2 * i + 1) * frames // (2 * n) for i in range(n))
        case "nearest":
            return tuple(round(place) for place in _evenly(first, stop - 1, n))
        case "below":
            return tuple(int(place) for place in _evenly(first, stop - 1, n))
        case _:
            assert_never(spec.placing)


def _evenly(first: int, last: int, count: int) -> tuple[float, ...]:
    """`numpy.linspace`, in the same steps of double precision."""
    if count == 1:
        return (float(first),)
    step = (last - first) / (count - 1)
    return (*(i * step + first for i in range(count - 1)), float(last))


def _wanted(spec: FramesSpec, media: MediaSize) -> int:
    assert spec.fps is not None, "the spec has checked it"
    number = media.frames / media.fps * spec.fps if media.fps else float(media.frames)
    return round(number) if spec.rounding == "nearest" else int(number)


def _whole(spec: FramesSpec, wanted: int, most: int) -> int:
    """`wanted` frames or `most`, a whole multiple where one fits."""
    count = min(wanted, most)
    return max(1, count // spec.multiple * spec.multiple or count)


def _kept(spec: FramesSpec, media: MediaSize) -> tuple[int, int]:
    """First frame and end of what remains of a clip without its ends."""
    whole = 0, media.frames
    if not spec.skip_s or not media.fps or spec.fps is None or spec.max_frames is None:
        return whole
    if media.frames / media.fps - 2 * spec.skip_s <= spec.max_frames * spec.fps:
        return whole
    first = int(spec.skip_s * media.fps)
    last = min(int(media.frames - spec.skip_s * media.fps), media.frames - 1)
    return (first, last + 1) if first < last else whole
