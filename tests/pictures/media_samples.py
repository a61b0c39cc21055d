"""Videos, animations and documents made here, every frame and page known."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 64, 48


def frame(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A grey of 10 · number, from 25 on from 0 again, with a white top left corner, which shows how
    it is turned."""
    rgb = np.full((height, width, 3), 10 * number % 250, np.uint8)
    rgb[: height // 4, : width // 4] = 255
    return rgb


def grey(rgb: NDArray[np.uint8]) -> list[int]:
    """Of each frame [F, H, W, 3], away from the corner."""
    return [int(one[-4, -4].mean()) for one in rgb]


def video(
    frames: int = 23,
    *,
    kind: str = "mp4",
    codec: str = "libx264",
    rate: int = 10,
    rotation: int = 0,
    gop: int = 5,
    pixels: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> bytes:
    """An encoded file, through PyAV."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        track = container.add_stream(codec, rate=rate)
        track.width, track.height = size
        track.pix_fmt = pixels
        track.gop_size = gop
        if rotation:
            track.set_display_rotation(rotation)
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(frame(number, *size), format="rgb24")
            container.mux(track.encode(picture))
        container.mux(track.encode())
    return file.getvalue()


def sound() -> bytes:
    """A file without pictures."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=8000)
        silence = np.zeros((1, 8000), np.float32)
        samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        samples.sample_rate = 8000
        container.mux(track.encode(samples))
        container.mux(track.encode())
    return file.getvalue()


def animation(
    frames: int = 5, kind: str = "GIF", durations: int | list[int] = 200, **how: Any
) -> bytes:
    images = [Image.fromarray(frame(number)) for number in range(frames)]
    file = io.BytesIO()
    if kind == "WEBP":
        how = {"lossless": True} | how
    images[0].save(file, kind, save_all=True, append_images=images[1:], duration=durations, **how)
    return file.getvalue()


def document(*sizes: tuple[int, int], encrypted: bool = False, rotate: int = 0) -> bytes:
    """A PDF with an empty page for each size in points, each with a black lower left quarter."""
    bodies = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{3 + 2 * i} 0 R" for i in range(len(sizes)))
    bodies.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(sizes)} >>")
    for i, (width, height) in enumerate(sizes):
        drawn = f"0 0 {width / 2:g} {height / 2:g} re f"
        bodies.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Rotate {rotate} "
            f"/Contents {4 + 2 * i} 0 R >>"
        )
        bodies.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    if encrypted:
        bodies.append(_encryption())
    return _assembled(bodies, encrypted)


_ID = b"0123456789abcdef"


def _assembled(bodies: list[str], encrypted: bool) -> bytes:
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"/Size {len(bodies) + 1} /Root 1 0 R"
    if encrypted:
        trailer += f" /Encrypt {len(bodies)} 0 R /ID [<{_ID.hex()}> <{_ID.hex()}>]"
    end = f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}trailer\n<< {trailer} >>\n"
    return data + f"{end}startxref\n{len(data)}\n%%EOF\n".encode()


def _encryption() -> str:
    """The standard handler's dictionary (PDF 1.7, 7.6.3; RC4 of 40 bits) for some user password."""
    pad = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
    password = (b"secret" + pad)[:32]
    owner = _rc4(hashlib.md5(password).digest()[:5], password)
    flags = (-4 & 0xFFFFFFFF).to_bytes(4, "little")
    key = hashlib.md5(password + owner + flags + _ID).digest()[:5]
    user = _rc4(key, pad)
    return f"<< /Filter /Standard /V 1 /R 2 /O <{owner.hex()}> /U <{user.hex()}> /P -4 >>"


def _rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)
