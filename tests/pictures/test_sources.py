"""Paths, URIs and things that are no picture: refused by name, nothing fetched."""

from __future__ import annotations

import base64
import os
from io import BytesIO

import numpy as np
import pytest
from tests.pictures import samples

from sightline.core.errors import PictureError
from sightline.pictures import PictureLimits, open_picture, probe

PNG = samples.encode(samples.noise(), "PNG")


def refused(source: object, says: str, **options: object) -> PictureError:
    errors = []
    for open_ in (open_picture, probe):
        with pytest.raises(PictureError, match=says) as caught:
            open_(source, **options)
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])
    return errors[0]


def test_paths_that_cannot_be_read(tmp_path):
    file = tmp_path / "file.png"
    file.write_bytes(PNG)
    assert refused(tmp_path / "no.png", "no such file").field == str(tmp_path / "no.png")
    refused(tmp_path, "is a folder")
    refused(file / "inside.png", "not a directory")
    refused("a\0b.png", "is not a possible path")
    refused("a" * 5000, "file name too long")
    refused("", "no such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_path(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(PNG)
    path.chmod(0)
    refused(path, "permission denied")


def test_a_denied_path_says_so(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(PNG)

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    refused(path, r"cannot be read \(permission denied\)")


def test_a_disk_that_fails_says_no_more_than_that(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    class Failing(BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(5, "Input/output error at 0x7f0012345678")

    monkeypatch.setattr("builtins.open", lambda *_: Failing())
    assert "0x" not in str(refused(path, "is damaged or incomplete"))


def test_a_pipe_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    refused(pipe, "is not a regular file")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "https://example.com/a.png",
        "HTTPS://EXAMPLE.com/a.png",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:a.png",
        "ftp://x/a.png",
        "s3://bucket/a",
        "gopher://x/",
    ],
)
def test_urls_are_refused(url):
    error = refused(url, "is a URL, and nothing is fetched")
    assert error.field == url


def test_byte_limits_hold_before_reading(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    limits = PictureLimits(max_bytes=len(PNG) - 1)
    for source in (path, PNG, uri):
        assert open_picture(source, PictureLimits(max_bytes=len(PNG)))
        refused(source, f"the limit is {len(PNG) - 1:,}", limits=limits)


def test_a_long_uri_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(base64, "b64decode", None)
    uri = "data:image/png;base64," + "A" * 4000
    refused(uri, "has 2,998 bytes, the limit is 1,000", limits=PictureLimits(max_bytes=1000))


BAD_URIS = {
    "data:image/png;base64": "has no comma",
    "data:,hello": "is not base64",
    "data:image/png,%89PNG": "is not base64",
    "data:image/svg+xml;utf8,<svg/>": "is not base64",
    "data:video/jpeg;base64,AAAA": "holds video/jpeg, not a picture",
    "data:text/html;base64,AAAA": "holds text/html",
    "data:image/png;base64,": "is empty",
    "data:image/png;base64,A": "base64 does not have",
    "data:image/png;base64,AA!A": "base64 does not have",
    "data:image/png;base64,AA\nAA": "base64 does not have",
    "data:image/png;base64,ÄAAA": "base64 does not have",
    "data:image/png;base64,aGVsbG8gd29ybGQ=": "is text",
}


@pytest.mark.parametrize(("uri", "says"), BAD_URIS.items())
def test_bad_data_uris(uri, says):
    assert refused(uri, says).field == "data URI"


def test_a_data_uri_may_have_parameters_or_no_type():
    body = base64.b64encode(PNG).decode()
    for head in ("data:image/png;name=a.png;base64,", "data:;base64,", "data:IMAGE/PNG;BASE64,"):
        assert open_picture(head + body).digest == open_picture(PNG).digest


@pytest.mark.parametrize("source", [None, 7, 1.5, ["a.png"], object(), np.float64(1)])
def test_other_things_hold_no_picture(source):
    assert refused(source, "holds no picture").field == f"image ({type(source).__name__})"


def test_errors_name_only_so_much_of_a_path():
    assert len(refused("x" * 10_000, "too long").field) == 200
