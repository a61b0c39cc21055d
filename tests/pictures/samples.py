"""Picture files made on the spot, well-formed and not."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def noise(width: int = 24, height: int = 16, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(width: int = 24, height: int = 16) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = (x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x + y) * 4 % 256)
    return np.stack(planes, axis=2).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    out = BytesIO()
    image.save(out, format=kind, **options)
    return out.getvalue()


def frames(count: int, width: int = 8, height: int = 6) -> list[Image.Image]:
    return [Image.fromarray(noise(width, height, seed=seed)) for seed in range(count)]


def animation(kind: str, count: int, **options: object) -> bytes:
    first, *rest = frames(count)
    return encode(first, kind, save_all=True, append_images=rest, **options)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def png_chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(
    width: int,
    height: int,
    *,
    rows: bytes,
    bits: int = 8,
    colour: int = 2,
    interlace: int = 0,
    before: bytes = b"",
) -> bytes:
    """A PNG from its parts: `rows` with their filter bytes, chunks to put `before` the pixels."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    data = png_chunk(b"IDAT", zlib.compress(rows))
    return b"".join(
        (PNG_SIGNATURE, png_chunk(b"IHDR", head), before, data, png_chunk(b"IEND", b""))
    )


# First row and column, and steps, of the passes of Adam7.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
           (1, 0, 2, 1))  # fmt: skip


def interlaced(pixels: np.ndarray, passes: int = 7) -> bytes:
    """An interlaced PNG of uint8[H, W, 3], with all its passes or too few."""
    parts = (pixels[y::dy, x::dx] for y, x, dy, dx in _PASSES[:passes])
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    return png(pixels.shape[1], pixels.shape[0], rows=rows, interlace=1)


def png_with(data: bytes, *chunks: bytes, at_end: bool = False) -> bytes:
    """`data` with more chunks after its header, or before its end."""
    cut = len(data) - 12 if at_end else len(PNG_SIGNATURE) + 25
    return data[:cut] + b"".join(chunks) + data[cut:]


def bomb(side: int = 20_000) -> bytes:
    """A whole and honest PNG of side² one-bit pixels in some kilobytes."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(png_chunk(name, data) for name, data in parts)


def whole_files() -> dict[str, bytes]:
    """One file of each kind that the gateway decodes by default."""
    rgb, alpha = smooth(), noise(channels=4)
    image = Image.fromarray(rgb)
    return {
        "jpeg": encode(rgb, "JPEG"),
        "jpeg-progressive": encode(rgb, "JPEG", progressive=True, quality=95),
        "jpeg-grey": encode(image.convert("L"), "JPEG"),
        "jpeg-cmyk": encode(image.convert("CMYK"), "JPEG"),
        "jpeg-exif": encode(rgb, "JPEG", exif=exif(6)),
        "png": encode(rgb, "PNG"),
        "png-alpha": encode(alpha, "PNG"),
        "png-palette": encode(image.quantize(16), "PNG"),
        "png-16": encode(Image.fromarray(np.arange(384, dtype=np.uint16).reshape(16, 24)), "PNG"),
        "webp": encode(rgb, "WEBP", quality=80),
        "webp-lossless": encode(rgb, "WEBP", lossless=True),
        "webp-alpha": encode(alpha, "WEBP"),
        "webp-exif": encode(rgb, "WEBP", exif=exif(8)),
        "gif": encode(image.quantize(32), "GIF"),
        "gif-animated": animation("GIF", 3),
        "webp-animated": animation("WEBP", 3),
        "apng": animation("PNG", 3),
        "bmp": encode(rgb, "BMP"),
        "bmp-palette": encode(image.quantize(16), "BMP"),
    }
