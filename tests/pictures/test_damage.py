"""Files that are cut, lie, or are something else: refused in our words, never filled up."""

from __future__ import annotations

import re
import struct
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from tests.pictures import samples

from sightline.core.errors import PictureError
from sightline.pictures import PictureLimits, open_picture, probe

WHOLE = samples.whole_files()
ALL = PictureLimits(formats=("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"), max_pixels=10**6)


def refused(source: object, says: str, limits: PictureLimits | None = None) -> PictureError:
    with pytest.raises(PictureError, match=says) as caught:
        open_picture(source, *([limits] if limits else []))
    error = caught.value
    assert error.field and error.problem and error.fix
    assert not re.search(r"0x[0-9a-f]{6,}|object at", str(error)), "an address leaks"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


@pytest.mark.parametrize("name", WHOLE)
def test_a_cut_file_is_refused_or_whole(name):
    data, digest = WHOLE[name], open_picture(WHOLE[name]).digest
    cuts = {*range(1, len(data), max(1, len(data) // 40)), *range(len(data) - 20, len(data))}
    outcomes = set()
    for cut in cuts:
        try:
            outcomes.add(open_picture(data[:cut]).digest)
        except PictureError:
            outcomes.add("refused")
    assert "refused" in outcomes
    assert outcomes <= {"refused", digest}, "a cut file gave another picture"


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif", "bmp", "jpeg-progressive"])
def test_half_a_file_is_refused(name):
    data = samples.encode(samples.noise(64, 64), name.split("-")[0].upper())
    refused(data[: len(data) // 2], "damaged or incomplete|is truncated")


@settings(max_examples=150)
@given(data=st.data())
def test_flipped_bytes_never_escape_as_anything_else(data):
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    body = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = open_picture(bytes(body), ALL)
    except PictureError as error:
        assert not re.search(r"0x[0-9a-f]{6,}", str(error))
    else:
        assert probe(bytes(body), ALL) == picture.size


@given(st.binary(max_size=300), st.sampled_from([b"", *(d[:12] for d in WHOLE.values())]))
def test_random_bytes_are_refused(body, head):
    with pytest.raises(PictureError):
        open_picture(head + body, ALL)


ALIENS = {
    "a web page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "an SVG drawing": b'<?xml version="1.0"?><svg xmlns="x"></svg>',
    "text": b'{"error": "no such picture"}\n',
    "of no known format": bytes(range(7, 200)),
    "a TIFF file": samples.encode(samples.noise(), "TIFF"),
    "an EPS file": samples.encode(samples.noise(), "EPS"),
    "a Photoshop file": b"8BPS\0\1" + bytes(40),
    "a JPEG 2000 file": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "a PDF document": b"%PDF-1.7\n",
    "an AVIF file": b"\0\0\0\x1cftypavif" + bytes(40),
    "an HEIC or video file": b"\0\0\0\x18ftypheic" + bytes(40),
    "a zip archive": b"PK\3\4" + bytes(40),
}


@pytest.mark.parametrize("what", ALIENS)
def test_a_disguised_file_is_named_for_what_it_is(what, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(ALIENS[what])
    error = refused(path, f"is {what}")
    assert error.field == str(path)
    assert ("give it as a document" if "PDF" in what else "convert it") in error.fix
    assert refused(ALIENS[what], f"is {what}").field == "image bytes"
    with pytest.raises(PictureError):
        probe(path)


def test_nothing_is_not_a_picture(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    refused(path, "is empty")
    refused(b"", "is empty")


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A PNG that says another size, its checksum mended."""
    head = struct.pack(">II", width, height) + data[24:29]
    return data[:8] + samples.png_chunk(b"IHDR", head) + data[33:]


def with_height(data: bytes, height: int) -> bytes:
    """A sequential JPEG that says another height."""
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">H", height) + data[frame + 7 :]


def test_lying_headers_are_refused():
    refused(with_size(WHOLE["png"], 24, 64), "damaged or incomplete")
    refused(with_size(WHOLE["png"], 24, 17), "damaged or incomplete")
    refused(with_size(WHOLE["png"], 0, 16), "0 × 16 pixels")
    refused(with_size(WHOLE["png"], 2**31, 2**31), "the limit is")
    refused(with_height(WHOLE["jpeg"], 4000), "damaged or incomplete")
    refused(with_height(WHOLE["jpeg"], 0), "24 × 0 pixels")
    webp = bytearray(WHOLE["webp-exif"])
    assert webp[12:16] == b"VP8X"
    webp[24:27] = (500 - 1).to_bytes(3, "little")
    refused(bytes(webp), "damaged or incomplete")
    gif = bytearray(WHOLE["gif"])
    frame = gif.index(b",\0\0\0\0")
    gif[frame + 7 : frame + 9] = struct.pack("<H", 40)
    refused(bytes(gif), "damaged or incomplete")
    bmp = bytearray(WHOLE["bmp"])
    bmp[22:26] = struct.pack("<i", 40)
    refused(bytes(bmp), "damaged or incomplete")


def test_two_jpeg_frame_headers_are_refused():
    data = WHOLE["jpeg"]
    frame = data.index(b"\xff\xc0")
    refused(data[:2] + data[frame : frame + 19] + data[2:], "has 2 frame headers")


@pytest.mark.parametrize("height", [49, 64])
def test_missing_jpeg_rows_are_not_filled_with_grey(height):
    """Here the end marker is in its place, and libjpeg would paint the rest without an error."""
    data = samples.encode(samples.noise(64, 40), "JPEG")
    refused(with_height(data, height), "damaged or incomplete")
    scan = data.index(b"\xff\xda") + 14
    for share in (0.1, 0.5, 0.9):
        cut = scan + int((len(data) - scan) * share)
        refused(data[:cut] + b"\xff\xd9", "damaged or incomplete")


@pytest.mark.parametrize("side", [1, 7, 8, 15, 16, 17, 33])
@pytest.mark.parametrize("options", [{}, {"subsampling": 2}, {"restart_marker_blocks": 1}])
def test_whole_jpegs_are_never_taken_for_short(side, options):
    for pixels in (np.full((side, side + 3, 3), 128, np.uint8), samples.noise(side + 3, side)):
        for quality in (1, 60, 100):
            data = samples.encode(pixels, "JPEG", quality=quality, **options)
            expected = np.array(Image.open(BytesIO(data)))
            for tail in (b"", b"trailing bytes", data):
                np.testing.assert_array_equal(open_picture(data + tail).rgb, expected)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_whole_pngs_are_never_taken_for_short(mode, level):
    for width, height in ((1, 1), (1, 9), (40, 3), (300, 200)):
        for pixels in (np.zeros((height, width, 3), np.uint8), samples.noise(width, height)):
            image = Image.fromarray(pixels).convert(mode)
            data = samples.encode(image, "PNG", compress_level=level)
            np.testing.assert_array_equal(open_picture(data).rgb, np.array(image.convert("RGB")))


def test_interlaced_pngs():
    pixels = samples.noise(13, 11)
    np.testing.assert_array_equal(open_picture(samples.interlaced(pixels)).rgb, pixels)
    refused(samples.interlaced(pixels, passes=6), "damaged or incomplete")


def test_a_second_png_header_cannot_change_the_size():
    head = samples.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))
    refused(samples.png_with(WHOLE["png"], head), "holds another size")


def test_wrong_checksums_are_refused():
    data = bytearray(WHOLE["png"])
    data[data.index(b"IDAT") + 9] ^= 1
    refused(bytes(data), "wrong checksum in IDAT")


def test_a_file_of_nothing_but_parts_is_refused():
    flood = samples.png_chunk(b"teXt", b"") * 140_000
    refused(samples.png_with(WHOLE["png"], flood), "more than 131,072 parts")
    jpeg = WHOLE["jpeg"]
    refused(jpeg[:2] + b"\xff\xfe\0\2" * 140_000 + jpeg[2:], "more than 131,072 parts")


def test_metadata_is_never_unpacked():
    inflated = zlib.compress(bytes(64 * 2**20), 9)
    text = samples.png_chunk(b"zTXt", b"Comment\0\0" + inflated)
    profile = samples.png_chunk(b"iCCP", b"icc\0\0" + inflated)
    data = samples.png_with(WHOLE["png"], text, profile, text)
    tracemalloc.start()
    picture = open_picture(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.digest == open_picture(WHOLE["png"]).digest
    assert peak < 4 * len(data)


def test_huge_jpeg_metadata_changes_nothing():
    part = b"\xff\xe2\xff\xff" + b"ICC_PROFILE\0" + bytes([1, 255]) + bytes(65_533 - 14)
    note = b"\xff\xed\xff\xff" + b"Photoshop 3.0\0" + bytes(65_533 - 14)
    data = WHOLE["jpeg"][:2] + (part + note) * 100 + WHOLE["jpeg"][2:]
    assert open_picture(data).digest == open_picture(WHOLE["jpeg"]).digest


def test_a_global_that_hides_truncation_is_refused(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    error = refused(WHOLE["jpeg"], "LOAD_TRUNCATED_IMAGES is set")
    assert error.fix == "set it to False"


def test_no_global_of_pillow_is_changed():
    limit, registered = Image.MAX_IMAGE_PIXELS, dict(Image.OPEN)
    for data in WHOLE.values():
        open_picture(data)
    open_picture(np.zeros((2, 2), np.uint8))
    assert limit == Image.MAX_IMAGE_PIXELS
    assert registered == dict(Image.OPEN)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_pil_image_whose_file_is_cut_is_refused(tmp_path):
    path = tmp_path / "cut.jpg"
    data = samples.encode(samples.noise(64, 64), "JPEG")
    path.write_bytes(data[: len(data) // 2])
    with Image.open(path) as image:
        error = refused(image, "damaged or incomplete")
    assert error.field == "image (JpegImageFile)"
