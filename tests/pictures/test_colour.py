"""Alpha, palettes, inks and deep pixels: each by the rule that the gateway states."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tests.pictures import samples
from transformers.image_transforms import convert_to_rgb

from sightline.core.errors import PictureError
from sightline.pictures import open_picture

WHITE = "alpha over (255, 255, 255)"


def transparent_images() -> dict[str, Image.Image]:
    rgba = Image.fromarray(samples.noise(channels=4))
    palette = Image.fromarray(samples.smooth()).quantize(16)
    one = Image.fromarray(samples.noise(channels=1)[..., 0] > 127)
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    colour = Image.fromarray(samples.smooth())
    return {
        "RGBA": reopened(rgba),
        "LA": reopened(rgba.convert("LA")),
        "palette with alphas": reopened(palette, transparency=bytes(range(0, 160, 10))),
        "palette with one clear entry": reopened(palette, transparency=3),
        "one bit with a clear value": reopened(one, transparency=255),
        "grey with a clear value": reopened(grey, transparency=7),
        "colour with a clear colour": reopened(colour, transparency=tuple(samples.smooth()[3, 4])),
        "WebP": Image.open(BytesIO(samples.encode(rgba, "WEBP", lossless=True))),
        "GIF": Image.open(BytesIO(samples.encode(palette, "GIF", transparency=2))),
    }


def reopened(image: Image.Image, **options: object) -> Image.Image:
    plain = {key: tuple(map(int, v)) if isinstance(v, tuple) else v for key, v in options.items()}
    return Image.open(BytesIO(samples.encode(image, "PNG", **plain)))


@pytest.mark.parametrize("name", transparent_images())
def test_alpha_lies_over_white_as_in_the_library(name):
    image = transparent_images()[name]
    expected = convert_to_rgb(image, return_numpy=True)
    for source in (image, image.fp.getvalue() if image.fp else image):
        picture = open_picture(source)
        np.testing.assert_array_equal(picture.rgb, expected)
        assert picture.notes == (WHITE,)


@pytest.mark.parametrize("over", [(0, 0, 0), (12, 200, 99)])
def test_alpha_lies_over_the_stated_colour(over):
    rgba = samples.noise(channels=4)
    alpha = rgba[..., 3:].astype(float) / 255
    expected = rgba[..., :3] * alpha + np.array(over) * (1 - alpha)
    for source in (rgba, samples.encode(rgba, "PNG")):
        picture = open_picture(source, over=over)
        assert np.abs(picture.rgb - expected).max() <= 1
        assert picture.notes == (f"alpha over {over}",)


def test_an_opaque_alpha_channel_changes_nothing():
    rgba = samples.noise(channels=4)
    rgba[..., 3] = 255
    picture = open_picture(samples.encode(rgba, "PNG"))
    np.testing.assert_array_equal(picture.rgb, rgba[..., :3])
    assert picture.notes == ()


@pytest.mark.parametrize("over", [(0, 0, 256), (-1, 0, 0), (1, 2)])
def test_a_background_that_is_no_colour_is_refused(over):
    with pytest.raises(PictureError, match=r"over: .* is no colour"):
        open_picture(samples.noise(), over=over)


INKS = {"red": (0, 255, 255, 0), "cyan": (255, 0, 0, 0), "grey": (0, 0, 0, 127)}
PAINTS = {"red": (255, 0, 0), "cyan": (0, 255, 255), "grey": (128, 128, 128)}


@pytest.mark.parametrize("name", INKS)
def test_cmyk_has_the_right_colours(name):
    data = samples.encode(Image.new("CMYK", (16, 16), INKS[name]), "JPEG", quality=95)
    picture = open_picture(data)
    assert np.abs(picture.rgb.astype(int) - PAINTS[name]).max() <= 3
    assert picture.notes == ("CMYK read without its colour profile",)


def test_ycck_has_the_right_colours():
    y, cb, cr, k = 200, 90, 160, 240
    data = samples.encode(
        Image.new("CMYK", (16, 16), tuple(255 - v for v in (y, cb, cr, k))), "JPEG", quality=100
    )
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    red = y + 1.402 * (cr - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    blue = y + 1.772 * (cb - 128)
    picture = open_picture(data[: marker + 11] + b"\x02" + data[marker + 12 :])
    expected = np.clip(255 - np.array([red, green, blue]), 0, 255) * k / 255
    assert np.abs(picture.rgb[8, 8] - expected).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBX", "YCbCr", "HSV"])
def test_other_modes_are_pillows_rgb(mode):
    image = Image.fromarray(samples.smooth()).convert(mode)
    picture = open_picture(image)
    np.testing.assert_array_equal(picture.rgb, np.array(image.convert("RGB")))
    assert picture.notes == ()


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_modes_without_a_white_are_refused(mode):
    with pytest.raises(PictureError, match=f"mode {mode}, for which no white is defined"):
        open_picture(Image.new(mode, (4, 4)))


def test_16_bit_grey_is_scaled_linearly():
    values = np.array([[0, 128, 129, 257], [32767, 32768, 65406, 65535]], np.uint16)
    expected = np.rint(values / 257).astype(np.uint8)
    assert expected[1, 3] == 255
    for source in (Image.fromarray(values), samples.encode(Image.fromarray(values), "PNG")):
        picture = open_picture(source)
        np.testing.assert_array_equal(picture.rgb, np.repeat(expected[..., None], 3, axis=2))
        assert picture.notes == ("16-bit grey scaled to 8",)


def test_big_endian_16_bit_grey_is_the_same():
    values = np.array([[0, 257, 514, 65535]], ">u2")
    image = Image.frombytes("I;16B", (4, 1), values.tobytes())
    assert open_picture(image).rgb[0, :, 0].tolist() == [0, 1, 2, 255]


def test_16_bit_grey_with_a_clear_value():
    values = np.array([[0, 1000, 1001, 65535]], ">u2")
    clear = samples.png_chunk(b"tRNS", struct.pack(">H", 1000))
    data = samples.png(4, 1, bits=16, colour=0, rows=b"\0" + values.tobytes(), before=clear)
    picture = open_picture(data, over=(9, 8, 7))
    assert picture.rgb[0].tolist() == [[0] * 3, [9, 8, 7], [4] * 3, [255] * 3]
    assert picture.notes == ("16-bit grey scaled to 8", "alpha over (9, 8, 7)")


def deep_colour(before: bytes = b"") -> bytes:
    values = np.array([[[0, 0x1234, 0xFFFF], [0x00FF, 0x8000, 0xFEFF]]], ">u2")
    return samples.png(2, 1, bits=16, colour=2, rows=b"\0" + values.tobytes(), before=before)


def test_16_bit_colour_keeps_its_high_byte():
    picture = open_picture(deep_colour())
    assert picture.rgb[0].tolist() == [[0, 0x12, 0xFF], [0, 0x80, 0xFE]]
    assert picture.notes == ("16-bit colour cut to its high 8 bits",)


def test_16_bit_colour_with_a_clear_colour_is_refused():
    with pytest.raises(PictureError, match="16-bit colour with a transparent colour"):
        open_picture(deep_colour(samples.png_chunk(b"tRNS", struct.pack(">HHH", 0, 1, 2))))


def test_arrays_of_each_kind():
    pixels = samples.noise()
    deep = pixels.astype(np.uint16) * 257
    for array in (pixels, deep, (pixels / 255), (pixels / 255).astype(np.float32)):
        np.testing.assert_array_equal(open_picture(array).rgb, pixels)
    grey = pixels[..., 0]
    for array in (grey, grey[..., None]):
        np.testing.assert_array_equal(open_picture(array).rgb, np.stack([grey] * 3, axis=2))
    half = np.array([[0.0, 0.5, 1.0]], np.float16)
    assert open_picture(half).rgb[0, :, 0].tolist() == [0, 128, 255]


def test_arrays_may_be_strided_and_are_copied():
    pixels = samples.noise()
    turned = pixels[::-1, ::-1]
    picture = open_picture(turned)
    np.testing.assert_array_equal(picture.rgb, turned)
    assert picture.rgb.flags.c_contiguous
    before = picture.rgb.copy()
    pixels[:] = 0
    np.testing.assert_array_equal(picture.rgb, before)


BAD_ARRAYS = {
    "channels first": (np.zeros((3, 8, 8), np.uint8), "channels last"),
    "two channels": (np.zeros((8, 8, 2), np.uint8), r"has shape \[8, 8, 2\]"),
    "a batch": (np.zeros((1, 8, 8, 3), np.uint8), "has shape"),
    "empty": (np.zeros((0, 8, 3), np.uint8), "8 × 0 pixels"),
    "int64": (np.zeros((8, 8, 3), np.int64), "is of int64"),
    "bool": (np.zeros((8, 8), bool), "is of bool"),
    "objects": (np.full((8, 8), None), "is of object"),
    "above one": (np.full((8, 8, 3), 1.5), "has values 1.5 to 1.5"),
    "below zero": (np.full((8, 8, 3), -0.1), "has values"),
    "not a number": (np.full((8, 8, 3), np.nan), "has values nan"),
    "infinite": (np.full((8, 8, 3), np.inf), "has values inf"),
}


@pytest.mark.parametrize(("array", "says"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_arrays_are_refused(array, says):
    with pytest.raises(PictureError, match=says):
        open_picture(array)
