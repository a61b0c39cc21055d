"""Open a picture, or learn its size: every picture that Sightline sees comes through here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize
from sightline.pictures import bmp, exif, gif, jpeg, png, tiff, webp
from sightline.pictures.arrays import check_shape, from_array
from sightline.pictures.colour import Notes, Rgb, flatten
from sightline.pictures.header import Header, Malformed
from sightline.pictures.kinds import HEAD_BYTES, identify
from sightline.pictures.limits import DEFAULT_LIMITS, Format, PictureLimits
from sightline.pictures.picture import Picture
from sightline.pictures.source import EncodedSource, name_of, opened

PictureSource = EncodedSource | Image.Image | NDArray[Any]

_SAVE_AGAIN = "save it again as PNG or JPEG"


def open_picture(
    source: PictureSource,
    limits: PictureLimits = DEFAULT_LIMITS,
    *,
    over: Rgb = (255, 255, 255),
) -> Picture:
    """Decode whatever holds a picture.

    source: a path, a data URI, the bytes of a file, a PIL image (at the frame it stands on) or an
    array (see `arrays.from_array`). An animation gives its first frame. EXIF orientation is
    applied; transparent pixels are laid `over` a colour of 0..255; `colour.flatten` lists what
    becomes of each pixel mode. Plain RGB passes unchanged.

    Raises PictureError, which names the path or the kind of source, for anything that cannot be
    opened, breaks a limit, or is not whole: missing rows are never filled up with grey. (One case
    passes unseen: a progressive JPEG whose data stops early, at a proper end marker.)
    """
    name = name_of(source)
    _check_colour(over)
    if isinstance(source, np.ndarray):
        return Picture(*from_array(source, limits, over))
    if isinstance(source, Image.Image):
        limits.check_size(name, *source.size)
        with refusing(name):
            return _from_image(source, over)
    _check_truncation_is_seen(name)
    with opened(_encoded(source, name), limits) as stream, refusing(name):
        kind, header = _read_header(stream, name, limits)
        stream.seek(0)
        data = stream.read(limits.max_bytes + 1)
        limits.check_bytes(name, len(data))
    with refusing(name):
        return _decode(data, kind, header, over)


def probe(source: PictureSource, limits: PictureLimits = DEFAULT_LIMITS) -> MediaSize:
    """The size that `open_picture` will give, from the header alone. Raises PictureError."""
    name = name_of(source)
    if isinstance(source, np.ndarray):
        check_shape(source, limits)
        return MediaSize(source.shape[1], source.shape[0])
    if isinstance(source, Image.Image):
        limits.check_size(name, *source.size)
        return Header(*source.size, _orientation_of(source)).upright
    with opened(_encoded(source, name), limits) as stream, refusing(name):
        return _read_header(stream, name, limits)[1].upright


def _check_colour(over: Rgb) -> None:
    if len(over) != 3 or not all(0 <= value <= 255 for value in over):
        raise PictureError("over", f"{over} is no colour", "give red, green and blue of 0..255")


def _check_truncation_is_seen(name: str) -> None:
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise PictureError(
            name,
            "could be truncated unseen: PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set",
            "set it to False",
        )


def _encoded(source: object, name: str) -> EncodedSource:
    if isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        return source
    raise PictureError(name, "holds no picture", "give a path, bytes, a PIL image or an array")


def _read_header(stream: BinaryIO, name: str, limits: PictureLimits) -> tuple[Format, Header]:
    kind = identify(stream.read(HEAD_BYTES), name, limits)
    header = _header(stream, kind)
    limits.check_size(name, header.width, header.height)
    return kind, header


def _header(stream: BinaryIO, kind: Format) -> Header:
    match kind:
        case "JPEG":
            return jpeg.read_header(stream)
        case "PNG":
            return png.read_header(stream)
        case "WEBP":
            return webp.read_header(stream)
        case "GIF":
            return gif.read_header(stream)
        case "BMP":
            return bmp.read_header(stream)
        case "TIFF":
            return tiff.read_header(stream)
        case _:
            assert_never(kind)


def _decoder(data: bytes, kind: Format) -> tuple[ImageFile.ImageFile, int]:
    """Pillow's reader, given no metadata where that can be cut away, and the number of frames.

    The plugins are called by name: `Image.open` would try others and warn by a global limit.
    """
    match kind:
        case "JPEG":
            return JpegImagePlugin.JpegImageFile(BytesIO(jpeg.bare(data))), 1
        case "PNG":
            return PngImagePlugin.PngImageFile(BytesIO(png.bare(data))), png.count_frames(data)
        case "WEBP":
            return WebPImagePlugin.WebPImageFile(BytesIO(data)), webp.count_frames(data)
        case "GIF":
            return GifImagePlugin.GifImageFile(BytesIO(data)), gif.count_frames(data)
        case "BMP":
            return BmpImagePlugin.BmpImageFile(BytesIO(data)), 1
        case "TIFF":
            return TiffImagePlugin.TiffImageFile(BytesIO(data)), tiff.count_frames(data)
        case _:
            assert_never(kind)


def _decode(data: bytes, kind: Format, header: Header, over: Rgb) -> Picture:
    image, frames = _decoder(data, kind)
    with image:
        if image.size != (header.width, header.height):
            raise Malformed(f"says {header.width} × {header.height} pixels but holds another size")
        image.load()
        notes = _depth_notes(image, header)
        rgb, more = flatten(image, over)
    if frames > 1:
        notes = (f"first of {frames} frames", *notes)
    return _turned(rgb, header.orientation, notes + more)


def _depth_notes(image: Image.Image, header: Header) -> Notes:
    """Pillow keeps the high byte of 16-bit colour, so a 16-bit transparent colour is lost."""
    if header.bits != 16 or image.mode == "I;16":
        return ()
    if "transparency" in image.info:
        raise Malformed("has 16-bit colour with a transparent colour")
    return ("16-bit colour cut to its high 8 bits",)


def _from_image(image: Image.Image, over: Rgb) -> Picture:
    frames = getattr(image, "n_frames", 1)
    image.load()
    rgb, notes = flatten(image, over)
    if frames > 1:
        notes = (f"frame {image.tell() + 1} of {frames}", *notes)
    return _turned(rgb, _orientation_of(image), notes)


def _orientation_of(image: Image.Image) -> int | None:
    tags = image.info.get("exif")
    return exif.orientation(tags) if isinstance(tags, bytes) else 1


def _turned(rgb: NDArray[np.uint8], orientation: int | None, notes: Notes) -> Picture:
    if orientation is None:
        return Picture(rgb, (*notes, "EXIF orientation unreadable, taken as upright"))
    if orientation == 1:
        return Picture(rgb, notes)
    return Picture(exif.turn(rgb, orientation), (*notes, "rotated as its EXIF says"))


@contextmanager
def refusing(name: str, fix: str = _SAVE_AGAIN) -> Iterator[None]:
    """Any failure of a decoder becomes a PictureError in our words: theirs may hold addresses."""
    try:
        yield
    except PictureError:
        raise
    except Malformed as error:
        raise PictureError(name, str(error), fix) from None
    except Exception:
        raise PictureError(name, "is damaged or incomplete", fix) from None
