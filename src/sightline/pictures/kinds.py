"""Which format a file is in, told from its first bytes."""

from __future__ import annotations

from sightline.core.errors import PictureError
from sightline.pictures.containers import container
from sightline.pictures.limits import Format, PictureLimits

HEAD_BYTES = 512

_ALIENS = (
    (b"8BPS", "a Photoshop file"),
    (b"%!PS", "an EPS file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"%PDF", "a PDF document"),
    (b"\x00\x00\x01\x00", "an icon file"),
    (b"II+\x00", "a BigTIFF file"),
    (b"MM\x00+", "a BigTIFF file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
)
_FTYP = ((b"avif", "an AVIF file"), (b"avis", "an AVIF file"), (b"", "an HEIC or video file"))


def identify(head: bytes, name: str, limits: PictureLimits) -> Format:
    """The format of a file that begins with `head`. Raises PictureError for one not let in."""
    kind = _format(head)
    if kind is None:
        raise PictureError(name, f"is {describe(head)}", _way_in(head) or _convert(limits))
    if kind not in limits.formats:
        raise PictureError(name, f"is a {kind} file, which is not let in", _convert(limits))
    return kind


def _way_in(head: bytes) -> str | None:
    """For what is no picture but comes in by another door."""
    if container(head):
        return "give it as a video"
    return "give it as a document" if head.startswith(b"%PDF") else None


def _convert(limits: PictureLimits) -> str:
    return f"convert it to one of {', '.join(limits.formats)}"


def _format(head: bytes) -> Format | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"BM"):
        return "BMP"
    return "TIFF" if head.startswith((b"II*\x00", b"MM\x00*")) else None


def describe(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return next(what for brand, what in _FTYP if head[8:12].startswith(brand))
    for magic, what in _ALIENS:
        if head.startswith(magic):
            return what
    return _describe_text(head)


def _describe_text(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<!doctype", b"<html")):
        return "a web page"
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return "text" if printable == len(head) and b"\x7f" not in head else "of no known format"
