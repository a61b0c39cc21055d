"""Video files, through PyAV (the `video` extra)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize
from sightline.pictures.containers import Container, check_whole
from sightline.pictures.header import Malformed
from sightline.pictures.limits import ClipLimits

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """What the packets of a file say, none of them decoded but the first.

    `times` are the presentation times of the frames, ascending, in the stream's own unit; None
    where the file does not give each frame its own. `turned` are quarter turns counterclockwise.
    """

    media: MediaSize
    times: tuple[int, ...] | None
    turned: int

    @property
    def notes(self) -> tuple[str, ...]:
        return ("rotated as its header says",) if self.turned else ()


def read_header(stream: BinaryIO, kind: Container, name: str, limits: ClipLimits) -> VideoHeader:
    """Size, rate and frames of the first video track.

    Frames are counted from the packets and not taken from the header, which may not say or may
    exaggerate; how the picture is turned is told with the first frame, so that one is decoded.
    Raises PictureError, or Malformed for a file that is not whole or has no video.
    """
    check_whole(stream, kind)
    with _opened(stream, kind, name) as (container, track):
        limits.check_frame(name, track.width, track.height)
        packets = _packets(container, track, name, limits)
        first = next(_decoded(container, track), None)
        if first is None:
            raise Malformed("has no frame that can be decoded")
        times = sorted(time for time, _ in packets if time is not None)
        distinct = len(set(times)) == len(packets)
        order = {time: i for i, time in enumerate(times)}
        keys = sorted(order[t] for t, whole in packets if whole and t is not None)
        turned = round(first.rotation / 90) % 4
        width, height = track.width, track.height
        media = MediaSize(
            *((height, width) if turned % 2 else (width, height)),
            frames=len(packets),
            fps=_rate(track),
            video=True,
            keyframes=tuple(keys) if distinct else (),
        )
        return VideoHeader(media, tuple(times) if distinct else None, turned)


def frames(
    stream: BinaryIO, kind: Container, name: str, header: VideoHeader, wanted: Sequence[int]
) -> Iterator[NDArray[np.uint8]]:
    """uint8[H, W, 3] of each frame that is `wanted`, ascending. Raises Malformed."""
    with _opened(stream, kind, name) as (container, track):
        found = _sought(container, track, header, wanted)
        for number, frame in zip(wanted, found, strict=True):
            if frame is None or frame.is_corrupt:
                raise Malformed(f"is damaged at frame {number}")
            yield _upright(frame, track, header, number)


def _upright(
    frame: VideoFrame, track: VideoStream, header: VideoHeader, number: int
) -> NDArray[np.uint8]:
    if (frame.width, frame.height) != (track.width, track.height):
        raise Malformed(f"changes its size at frame {number}")
    rgb = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return np.rot90(rgb, header.turned)


@contextmanager
def _opened(
    stream: BinaryIO, kind: Container, name: str
) -> Iterator[tuple[InputContainer, VideoStream]]:
    av = _library(name)
    stream.seek(0)
    try:
        container: Any = av.open(stream, format=kind)
    except (av.FFmpegError, ValueError):
        raise Malformed("is damaged or incomplete") from None
    with container:
        tracks = [t for t in container.streams.video if not t.disposition & _ATTACHED_PICTURE]
        if not tracks:
            raise Malformed("has no video track")
        track = tracks[0]
        if track.codec_context is None:
            raise Malformed("has video of an unknown kind")
        track.codec_context.options = {"err_detect": "explode"}
        track.thread_type = "AUTO"
        yield container, track


_ATTACHED_PICTURE = 0x400


def _library(name: str) -> ModuleType:
    try:
        import av
    except ImportError:
        raise PictureError(
            name, "is a video file, which needs PyAV", "pip install sightline[video]"
        ) from None
    return av


def _packets(
    container: InputContainer, track: VideoStream, name: str, limits: ClipLimits
) -> list[tuple[int | None, bool]]:
    """Time and wholeness of each frame's packet, in the order of the file."""
    found: list[tuple[int | None, bool]] = []
    left_out = 0
    for packet in container.demux(track):
        if packet.is_corrupt:
            raise Malformed("is truncated or damaged")
        if packet.is_discard:
            left_out += 1
        elif packet.size:
            found.append((packet.pts, packet.is_keyframe))
        if len(found) > limits.max_frames:
            break
    limits.check_clip(name, track.width, track.height, len(found))
    if len(found) + left_out < track.frames:
        raise Malformed(f"is truncated: it has {len(found)} of {track.frames} frames")
    return found


def _rate(track: VideoStream) -> float | None:
    rate = track.average_rate or track.guessed_rate
    return float(rate) if rate else None


def _decoded(container: InputContainer, track: VideoStream) -> Iterator[VideoFrame]:
    """All frames from the start."""
    container.seek(0)
    yield from container.decode(track)


def _sought(
    container: InputContainer, track: VideoStream, header: VideoHeader, wanted: Sequence[int]
) -> Iterator[VideoFrame | None]:
    """The wanted frames; None for one that does not come."""
    if header.times is None:
        return _counted(container, track, wanted)
    return _timed(container, track, header.times, header.media.keyframes, wanted)


def _counted(
    container: InputContainer, track: VideoStream, wanted: Sequence[int]
) -> Iterator[VideoFrame | None]:
    """By number, from the start on."""
    coming = enumerate(_decoded(container, track))
    for number in wanted:
        yield next((frame for i, frame in coming if i == number), None)


def _timed(
    container: InputContainer,
    track: VideoStream,
    times: Sequence[int],
    keys: Sequence[int],
    wanted: Sequence[int],
) -> Iterator[VideoFrame | None]:
    """By time, skipping to the last whole frame before each where that is ahead. Where skipping
    leads astray, from the start on."""
    at = -1
    coming = _decoded(container, track)
    for number in wanted:
        key = keys[bisect_right(keys, number) - 1] if keys and keys[0] <= number else 0
        if skips := key > at + 1:
            container.seek(times[key], stream=track)
            coming = container.decode(track)
        found = _at(coming, times[number])
        if found is None and skips:
            coming = _decoded(container, track)
            found = _at(coming, times[number])
        yield found
        at = number


def _at(coming: Iterator[VideoFrame], time: int) -> VideoFrame | None:
    """The frame of this time, unless one of a later time comes first."""
    reached = (frame for frame in coming if frame.pts is None or frame.pts >= time)
    found = next(reached, None)
    return found if found is not None and found.pts == time else None
