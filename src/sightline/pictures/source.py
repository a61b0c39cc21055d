"""From what the user gave to a readable file: paths, bytes and data URIs. Nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, NamedTuple

from sightline.core.errors import PictureError
from sightline.pictures.limits import FileLimits

EncodedSource = str | os.PathLike[str] | bytes | bytearray | memoryview

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://|file:", re.IGNORECASE)
_DATA = re.compile(r"data:(?P<kind>[^,;]*)(?P<parameters>[^,]*),", re.IGNORECASE)


class Sort(NamedTuple):
    """What a source may hold: its noun, and how the types of data URIs for it begin."""

    noun: str
    types: tuple[str, ...]


IMAGE = Sort("image", ("image/",))
VIDEO = Sort("video", ("video/", "image/gif", "image/webp"))
DOCUMENT = Sort("document", ("application/pdf",))


def name_of(source: object, sort: Sort = IMAGE) -> str:
    """How errors call it: the path, or what kind of thing it is."""
    if isinstance(source, str) and source[:5].lower() == "data:":
        return "data URI"
    if isinstance(source, str | os.PathLike):
        return f"{os.fsdecode(source):.200}" or "path"
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{sort.noun} bytes"
    return f"{sort.noun} ({type(source).__name__})"


@contextmanager
def opened(source: EncodedSource, limits: FileLimits, sort: Sort = IMAGE) -> Iterator[BinaryIO]:
    """A seekable file, its length within limits. Raises PictureError."""
    name = name_of(source, sort)
    if isinstance(source, str | os.PathLike) and name != "data URI":
        with _open_path(source, name, limits) as stream:
            yield stream
        return
    data = _decode_uri(source, limits, sort) if isinstance(source, str) else bytes(_raw(source))
    limits.check_bytes(name, len(data))
    yield BytesIO(data)


def _raw(source: EncodedSource) -> bytes | bytearray | memoryview:
    assert isinstance(source, bytes | bytearray | memoryview)
    return source


def _open_path(source: str | os.PathLike[str], name: str, limits: FileLimits) -> BinaryIO:
    path = os.fsdecode(source)
    if _URL.match(path):
        raise PictureError(name, "is a URL, and nothing is fetched", "download it, give the path")
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise PictureError(name, "is a folder", "give the path of a picture in it")
        if not stat.S_ISREG(found.st_mode):
            raise PictureError(name, "is not a regular file", "give the path of a picture file")
        limits.check_bytes(name, found.st_size)
        return open(path, "rb")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise PictureError(name, f"cannot be read ({reason})", "check the path") from None
    except PictureError:
        raise
    except ValueError:
        raise PictureError(name, "is not a possible path", "check the path") from None


def _decode_uri(uri: str, limits: FileLimits, sort: Sort) -> bytes:
    """The bytes in `data:image/…;base64,…`. Raises PictureError."""
    head = _DATA.match(uri[:1024])
    if head is None:
        raise PictureError("data URI", "has no comma", "write data:image/png;base64,<data>")
    kind, parameters = head["kind"].lower(), head["parameters"].lower()
    if kind and not kind.startswith(sort.types):
        wanted = "a picture" if sort is IMAGE else f"a {sort.noun}"
        fix = f"give {' or '.join(sort.types)}"
        raise PictureError("data URI", f"holds {kind:.80}, not {wanted}", fix)
    if not parameters.endswith(";base64"):
        raise PictureError("data URI", "is not base64", "write data:image/png;base64,<data>")
    limits.check_bytes("data URI", max(1, (len(uri) - head.end()) * 3 // 4 - 2))
    try:
        return base64.b64decode(uri[head.end() :].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise PictureError(
            "data URI", "has characters or a length that base64 does not have", "encode it again"
        ) from None
