"""Every pixel mode becomes opaque RGB, by a stated rule or not at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.pictures.header import Malformed

Rgb = tuple[int, int, int]
Notes = tuple[str, ...]


def flatten(image: Image.Image, over: Rgb) -> tuple[NDArray[np.uint8], Notes]:
    """uint8[H, W, 3] and what was done. Raises Malformed for a mode without a defined white.

    | mode                        | becomes                                              |
    |-----------------------------|------------------------------------------------------|
    | RGB, opaque                 | itself, unchanged                                    |
    | 1, L, P, RGBX, YCbCr, HSV   | Pillow's RGB                                         |
    | LA, PA, RGBA, RGBa, or a    | laid over the colour `over`                          |
    | transparent colour          |                                                      |
    | CMYK (YCCK is read as CMYK) | Pillow's RGB, without a colour profile               |
    | I;16                        | grey, value / 257 to the nearest, so that 65535 = 255 |
    | I, F, LAB and others        | refused                                              |

    Colour profiles are not applied, as in the libraries whose numbers we match.
    """
    match image.mode:
        case "I;16" | "I;16L" | "I;16B" | "I;16N":
            return _grey16(image, over)
        case "RGBA" | "LA" | "PA" | "RGBa":
            return _composite(image.convert("RGBA"), over)
        case "1" | "L" | "P" | "RGB" if "transparency" in image.info:
            return _composite(_keyed(image), over)
        case "RGB":
            return np.array(image), ()
        case "1" | "L" | "P" | "RGBX" | "YCbCr" | "HSV":
            return np.array(image.convert("RGB")), ()
        case "CMYK":
            return np.array(image.convert("RGB")), ("CMYK read without its colour profile",)
        case mode:
            raise Malformed(f"has pixels of mode {mode}, for which no white is defined")


def over_background(rgba: NDArray[np.uint8], over: Rgb) -> tuple[NDArray[np.uint8], Notes]:
    """uint8[H, W, 4] -> uint8[H, W, 3] on the colour `over`."""
    return _composite(Image.fromarray(rgba, "RGBA"), over)


def narrow(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """0..65535 -> 0..255, value / 257 to the nearest."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _composite(rgba: Image.Image, over: Rgb) -> tuple[NDArray[np.uint8], Notes]:
    background = Image.new("RGBA", rgba.size, (*over, 255))
    rgb = np.array(Image.alpha_composite(background, rgba).convert("RGB"))
    opaque = rgba.getchannel("A").getextrema() == (255, 255)
    return rgb, () if opaque else (f"alpha over {over}",)


def _keyed(image: Image.Image) -> Image.Image:
    """RGBA where one colour (or the palette's own alphas) is transparent."""
    key = image.info["transparency"]
    values = key if isinstance(key, tuple) else (key,)
    if any(isinstance(value, int) and not 0 <= value <= 255 for value in values):
        raise Malformed("has a transparent colour outside its range")
    return image.convert("RGBA")


def _grey16(image: Image.Image, over: Rgb) -> tuple[NDArray[np.uint8], Notes]:
    grey = np.asarray(image)
    rgb = np.repeat(narrow(grey.astype(np.uint16))[..., None], 3, axis=2)
    scaled = "16-bit grey scaled to 8"
    if (key := image.info.get("transparency")) is None or not (hidden := grey == key).any():
        return rgb, (scaled,)
    rgb[hidden] = over
    return rgb, (scaled, f"alpha over {over}")
