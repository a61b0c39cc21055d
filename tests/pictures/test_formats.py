"""What goes in comes out: every format, every way of giving it, turned upright, first frame."""

from __future__ import annotations

import base64
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.pictures import samples

from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize
from sightline.pictures import Picture, PictureLimits, open_picture, probe

WHOLE = samples.whole_files()
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "BMP": {}}
TURNING = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}


def pillow(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(BytesIO(data)))


@pytest.mark.parametrize(("kind", "options"), LOSSLESS.items())
def test_plain_rgb_passes_unchanged(kind, options):
    pixels = samples.noise()
    picture = open_picture(samples.encode(pixels, kind, **options))
    np.testing.assert_array_equal(picture.rgb, pixels)
    assert picture.notes == ()


@pytest.mark.parametrize("name", [n for n in WHOLE if "alpha" not in n and "16" not in n])
def test_every_opaque_format_equals_pillow(name):
    picture = open_picture(WHOLE[name])
    np.testing.assert_array_equal(picture.rgb, np.array(pillow(WHOLE[name]).convert("RGB")))
    assert picture.rgb.flags.c_contiguous
    assert picture.rgb.dtype == np.uint8


@pytest.mark.parametrize("name", WHOLE)
def test_probe_gives_the_size_that_opening_gives(name, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(WHOLE[name])
    picture = open_picture(WHOLE[name])
    assert probe(WHOLE[name]) == probe(path) == picture.size
    assert picture.rgb.shape == (picture.size.height, picture.size.width, 3)


def test_probe_decodes_nothing():
    data = WHOLE["png"]
    start = data.index(b"IDAT") + 4
    without_pixels = data[:start] + bytes(len(data) - start)
    assert probe(without_pixels) == MediaSize(24, 16)
    with pytest.raises(PictureError):
        open_picture(without_pixels)


def test_every_source_gives_the_same_picture(tmp_path):
    pixels = samples.noise()
    data = samples.encode(pixels, "PNG")
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    sources = [
        path,
        str(path),
        data,
        bytearray(data),
        memoryview(data),
        uri,
        uri.replace("data", "DATA"),
        Image.open(path),
        Image.fromarray(pixels),
        pixels,
    ]
    pictures = [open_picture(source) for source in sources]
    assert {picture.digest for picture in pictures} == {open_picture(path).digest}
    assert {probe(source) for source in sources} == {MediaSize(24, 16)}
    for picture in pictures:
        np.testing.assert_array_equal(picture.rgb, pixels)


def test_content_decides_not_the_name(tmp_path):
    path = tmp_path / "really-a-jpeg.png"
    path.write_bytes(WHOLE["jpeg"])
    assert open_picture(path).digest == open_picture(WHOLE["jpeg"]).digest


def test_digest_depends_on_shape_and_pixels():
    flat = np.zeros((4, 9, 3), np.uint8)
    shapes = {Picture(flat.reshape(shape)).digest for shape in [(4, 9, 3), (9, 4, 3), (6, 6, 3)]}
    assert len(shapes) == 3
    changed = flat.copy()
    changed[3, 8, 2] = 1
    assert Picture(changed).digest != Picture(flat).digest


def test_digest_tells_palettes_apart():
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4), "P")
    digests = set()
    for palette in (bytes(range(48)), bytes(reversed(range(48)))):
        image.putpalette(palette)
        digests.add(open_picture(samples.encode(image, "PNG")).digest)
    assert len(digests) == 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), TURNING.items())
def test_exif_orientation_is_applied(kind, options, orientation):
    data = samples.encode(samples.smooth(), kind, exif=samples.exif(orientation), **options)
    picture = open_picture(data)
    np.testing.assert_array_equal(picture.rgb, np.array(pillow(data).convert("RGB")))
    assert probe(data) == picture.size
    assert picture.notes == (() if orientation == 1 else ("rotated as its EXIF says",))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_equals_its_upright_twin(orientation):
    upright = samples.noise(5, 3)
    undo = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    tagged = Image.open(BytesIO(samples.encode(upright, "PNG", exif=samples.exif(undo))))
    stored = ImageOps.exif_transpose(tagged)
    data = samples.encode(np.array(stored), "PNG", exif=samples.exif(orientation))
    assert open_picture(data).digest == open_picture(upright).digest


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pil_image_is_turned_like_its_file(orientation):
    data = samples.encode(samples.noise(), "PNG", exif=samples.exif(orientation))
    image = Image.open(BytesIO(data))
    assert probe(image) == probe(data)
    assert open_picture(image).digest == open_picture(data).digest
    assert open_picture(pillow(data)).digest == open_picture(data).digest


@pytest.mark.parametrize("at_end", [False, True])
def test_png_exif_is_found_before_and_after_the_pixels(at_end):
    tags = samples.png_chunk(b"eXIf", samples.exif(6).removeprefix(b"Exif\0\0"))
    data = samples.png_with(WHOLE["png"], tags, at_end=at_end)
    assert probe(data) == open_picture(data).size == MediaSize(16, 24)


def exif_block(entry: bytes, order: bytes = b"II") -> bytes:
    mark = "<" if order == b"II" else ">"
    return order + struct.pack(f"{mark}HIH", 42, 8, 1) + entry + bytes(4)


@pytest.mark.parametrize(
    ("entry", "order"),
    [
        (struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), b"II"),
        (struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0), b"MM"),
        (struct.pack(">HHII", 0x0112, 4, 1, 6), b"MM"),
    ],
)
def test_exif_in_both_byte_orders(entry, order):
    data = samples.encode(samples.noise(), "JPEG", exif=b"Exif\0\0" + exif_block(entry, order))
    assert probe(data) == open_picture(data).size == MediaSize(16, 24)


BAD_EXIF = {
    "out of range": exif_block(struct.pack("<HHIHH", 0x0112, 3, 1, 9, 0)),
    "zero": exif_block(struct.pack("<HHIHH", 0x0112, 3, 1, 0, 0)),
    "no byte order": b"XX" + bytes(30),
    "cut": b"II*\0\x08\0",
    "count of 65535 entries": b"II*\0\x08\0\0\0\xff\xff" + bytes(20),
    "offset beyond the end": b"II*\0\xff\xff\xff\xff" + bytes(20),
    "four bytes": b"II*\0",
}


@pytest.mark.parametrize("block", BAD_EXIF.values(), ids=BAD_EXIF.keys())
@pytest.mark.parametrize("kind", TURNING)
def test_unreadable_exif_is_noted(kind, block):
    data = samples.encode(samples.noise(), kind, exif=b"Exif\0\0" + block)
    picture = open_picture(data)
    assert picture.size == probe(data) == MediaSize(24, 16)
    assert picture.notes == ("EXIF orientation unreadable, taken as upright",)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame_and_says_so(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = samples.animation(kind, 12, **options)
    picture = open_picture(data)
    assert picture.notes == ("first of 12 frames",)
    np.testing.assert_array_equal(picture.rgb, np.array(Image.open(BytesIO(data)).convert("RGB")))


def test_ten_thousand_frames_are_one_picture():
    data = samples.encode(samples.frames(1)[0].quantize(4), "GIF")
    start, end = data.rindex(b",\0\0\0\0"), len(data) - 1
    picture = open_picture(data[:end] + data[start:end] * 9_999 + data[end:])
    assert picture.notes == ("first of 10000 frames",)
    assert picture.digest == open_picture(data).digest


def test_a_gif_whose_first_frame_exceeds_its_screen_grows():
    data = bytearray(samples.encode(samples.frames(1)[0].quantize(4), "GIF"))
    data[6:10] = struct.pack("<HH", 2, 2)
    assert probe(bytes(data)) == open_picture(bytes(data)).size == MediaSize(8, 6)


def test_a_pil_image_is_taken_at_the_frame_it_stands_on():
    image = Image.open(BytesIO(samples.animation("PNG", 3)))
    image.seek(1)
    picture = open_picture(image)
    assert picture.notes == ("frame 2 of 3",)
    np.testing.assert_array_equal(picture.rgb, np.array(samples.frames(3)[1]))
    assert image.tell() == 1


def test_tiff_is_read_when_asked_for():
    pixels = samples.noise()
    data = samples.encode(pixels, "TIFF", tiffinfo={0x0112: 6})
    allowed = PictureLimits(formats=("TIFF",))
    picture = open_picture(data, allowed)
    assert probe(data, allowed) == picture.size == MediaSize(16, 24)
    np.testing.assert_array_equal(picture.rgb, np.rot90(pixels, -1))
    with pytest.raises(PictureError, match="TIFF file, which is not let in"):
        open_picture(data)


def test_pages_of_a_tiff_are_counted():
    data = samples.animation("TIFF", 3)
    picture = open_picture(data, PictureLimits(formats=("TIFF",)))
    assert picture.notes == ("first of 3 frames",)


def test_paths_may_be_path_objects_and_odd_names(tmp_path: Path):
    path = tmp_path / "a b: ü.png"
    path.write_bytes(WHOLE["png"])
    assert open_picture(path).digest == open_picture(str(path)).digest
