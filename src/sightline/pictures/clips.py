"""Open a clip, or learn its size, frames and rate: pictures in a row, an array, an animated GIF or
WebP, or a video file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize
from sightline.pictures import animated, video
from sightline.pictures.arrays import from_array
from sightline.pictures.clip import Clip
from sightline.pictures.colour import Rgb
from sightline.pictures.containers import container
from sightline.pictures.gateway import PictureSource, open_picture, probe, refusing
from sightline.pictures.header import Malformed
from sightline.pictures.kinds import HEAD_BYTES, describe
from sightline.pictures.limits import DEFAULT_CLIP_LIMITS, ClipLimits, PictureLimits
from sightline.pictures.source import VIDEO, EncodedSource, name_of, opened

ClipSource = EncodedSource | NDArray[Any] | list[PictureSource] | tuple[PictureSource, ...]

_ENCODE_AGAIN = "encode it again"


def probe_clip(
    source: ClipSource, limits: ClipLimits = DEFAULT_CLIP_LIMITS, *, fps: float | None = None
) -> MediaSize:
    """The size, frames and rate of the clip that `open_clip` will give, within the limits.

    A file is read through but, of a video, only its first frame decoded; of a list of pictures
    only the headers are read. `fps` is the rate of pictures and arrays, which cannot say it; files
    say their own. Raises PictureError.
    """
    return _read(source, limits, fps).media


def open_clip(
    source: ClipSource,
    frames: Sequence[int] | None = None,
    limits: ClipLimits = DEFAULT_CLIP_LIMITS,
    *,
    fps: float | None = None,
    over: Rgb = (255, 255, 255),
) -> Clip:
    """Decode these frames of a clip (all of them if None), ascending, and no others.

    source: a list of pictures (each whatever `open_picture` takes, all of one size), an array
    [F, H, W, C] (see `arrays.from_array`), or a path, data URI or the bytes of an animated GIF or
    WebP or a video file. Frames of an animation are composed as Pillow does, transparent pixels
    laid `over` a colour. A video is turned upright as its header says; its colours are those of
    FFmpeg's default conversion to rgb24.

    Raises PictureError, which names the source, for anything that cannot be opened, breaks a limit
    or is not whole: a frame that is missing or damaged is never filled up.
    """
    read = _read(source, limits, fps)
    wanted = tuple(range(read.media.frames) if frames is None else frames)
    name, media = name_of(source, VIDEO), read.media
    _check_wanted(name, wanted, media)
    limits.check_decoded(name, media.width, media.height, len(wanted))
    rgb = np.empty((len(wanted), media.height, media.width, 3), dtype=np.uint8)
    with refusing(name, _ENCODE_AGAIN):
        for i, frame in enumerate(_frames(source, limits, read, wanted, over)):
            if frame.shape != rgb.shape[1:]:
                raise Malformed(f"changes its size at frame {wanted[i]}")
            rgb[i] = frame
    return Clip(rgb, wanted, read.notes)


@dataclass(frozen=True, slots=True)
class _Read:
    """A header, and that of the video file if it is one."""

    media: MediaSize
    notes: tuple[str, ...] = ()
    video: video.VideoHeader | None = None


def _read(source: ClipSource, limits: ClipLimits, fps: float | None) -> _Read:
    name = name_of(source, VIDEO)
    if isinstance(source, np.ndarray):
        return _Read(_array_size(source, name, limits, fps))
    if isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        if fps is not None:
            raise PictureError(name, "says its rate itself", "give fps with pictures only")
        with opened(source, limits, VIDEO) as stream, refusing(name, _ENCODE_AGAIN):
            return _file_header(stream, name, limits)
    if isinstance(source, list | tuple):
        return _Read(_pictures_size(source, name, limits, fps))
    raise PictureError(name, "holds no clip", "give a path, bytes, a list of pictures or an array")


def _file_header(stream: BinaryIO, name: str, limits: ClipLimits) -> _Read:
    head = stream.read(HEAD_BYTES)
    if (moving := animated.animation(head)) is not None:
        media, notes = animated.probe(stream, moving)
        limits.check_clip(name, media.width, media.height, media.frames)
        return _Read(media, notes)
    if (kind := container(head)) is None:
        fix = "give an animated GIF or WebP, an MP4, WebM or another video file"
        raise PictureError(name, f"is {describe(head)}, not a clip", fix)
    header = video.read_header(stream, kind, name, limits)
    return _Read(header.media, header.notes, header)


def _array_size(array: NDArray[Any], name: str, limits: ClipLimits, fps: float | None) -> MediaSize:
    if array.ndim != 4 or array.shape[3] not in (1, 3, 4):
        fix = "give [frames, height, width, channels] with 1, 3 or 4 channels last"
        raise PictureError(name, f"has shape {list(array.shape)}", fix)
    frames, height, width, _ = array.shape
    limits.check_clip(name, width, height, frames)
    return MediaSize(width, height, frames, _checked_rate(fps), video=True)


def _pictures_size(
    pictures: Sequence[PictureSource], name: str, limits: ClipLimits, fps: float | None
) -> MediaSize:
    limits.check_clip(name, 1, 1, len(pictures))
    sizes = [probe(picture, _still(limits)) for picture in pictures]
    for number, size in enumerate(sizes):
        if size != sizes[0]:
            first, other = sizes[0], size
            problem = f"frame {number} is {other.width} × {other.height} pixels, the first "
            problem += f"{first.width} × {first.height}"
            raise PictureError(name, problem, "give frames of one size")
    size = sizes[0]
    return MediaSize(size.width, size.height, len(sizes), _checked_rate(fps), video=True)


def _frames(
    source: ClipSource, limits: ClipLimits, read: _Read, wanted: Sequence[int], over: Rgb
) -> Iterable[NDArray[np.uint8]]:
    if isinstance(source, np.ndarray):
        return (from_array(source[i], _still(limits), over)[0] for i in wanted)
    if isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        return _file_frames(source, limits, read, wanted, over)
    return (open_picture(source[i], _still(limits), over=over).rgb for i in wanted)


def _file_frames(
    source: EncodedSource, limits: ClipLimits, read: _Read, wanted: Sequence[int], over: Rgb
) -> Iterator[NDArray[np.uint8]]:
    name = name_of(source, VIDEO)
    with opened(source, limits, VIDEO) as stream:
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        if read.video is None:
            moving = animated.animation(head)
            assert moving is not None, "the header said so"
            yield from animated.frames(stream.read(), moving, wanted, over)
        else:
            kind = container(head)
            assert kind is not None, "the header said so"
            yield from video.frames(stream, kind, name, read.video, wanted)


def _still(limits: ClipLimits) -> PictureLimits:
    """What bounds one frame that is a picture of its own."""
    return PictureLimits(max_bytes=limits.max_bytes, max_pixels=limits.max_pixels)


def _checked_rate(fps: float | None) -> float | None:
    if fps is not None and not 0 < fps < float("inf"):
        raise PictureError("fps", f"{fps} is no rate", "give frames a second, over 0")
    return fps


def _check_wanted(name: str, wanted: Sequence[int], media: MediaSize) -> None:
    if not wanted:
        raise PictureError(name, "is asked for no frames", "ask for at least one")
    if any(a >= b for a, b in pairwise(wanted)) or wanted[0] < 0 or wanted[-1] >= media.frames:
        problem = f"has {media.frames} frames and is asked for {list(wanted[:8])}"
        raise PictureError(name, problem, "ask for frames in it, ascending, each once")
