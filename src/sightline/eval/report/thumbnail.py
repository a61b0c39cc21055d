"""Small pictures inside a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.core.geometry import Size
from sightline.data.sample import Media
from sightline.eval.item import StoredPicture
from sightline.pictures import open_clip, open_pages, open_picture

SIDE = 320
QUALITY = 85


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """size: of the picture in full, in pixels. uri: its pixels made smaller, and nothing else."""

    uri: str
    size: Size
    note: str = ""


def thumbnail(media: Media, side: int = SIDE) -> Thumbnail:
    """A picture, the first frame of a clip or the first page of a document, at most `side` pixels
    wide and high. Raises PictureError, and what a stored picture raises when it is read."""
    rgb, note = _first(media)
    height, width, _ = rgb.shape
    image = Image.fromarray(rgb)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return Thumbnail(_uri(image), Size(width, height), note)


def _first(media: Media) -> tuple[NDArray[np.uint8], str]:
    source: Any = media.source
    if isinstance(source, StoredPicture):
        source = source.read()
    match media.kind:
        case "image":
            return open_picture(source).rgb, ""
        case "video":
            return open_clip(source, [0], fps=media.fps).rgb[0], "first frame of a clip"
        case "document":
            return open_pages(source, first=1, last=1)[0].rgb, "first page of a document"
        case _:
            assert_never(media.kind)


def _uri(image: Image.Image) -> str:
    """PNG or JPEG, whichever is shorter: drawings stay sharp, photographs small."""
    png, jpeg = BytesIO(), BytesIO()
    image.save(png, "PNG", optimize=True)
    image.save(jpeg, "JPEG", quality=QUALITY, optimize=True)
    kind, data = min((("png", png), ("jpeg", jpeg)), key=lambda pair: len(pair[1].getvalue()))
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
