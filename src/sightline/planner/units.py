"""Sizes as people write and read them."""

from __future__ import annotations

import re

from sightline.core.errors import PlanError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?|)b?", re.IGNORECASE)


def parse_bytes(text: str, field: str = "memory") -> int:
    """Bytes of "24GB" (decimal), "22.5GiB" (binary) or "1000". Raises PlanError for others."""
    found = _SIZE.fullmatch(text.strip().replace(",", ""))
    if not found:
        raise PlanError(field, f"{text!r} is not a size", "write for example 24GB or 22.5GiB")
    scale = {**_UNITS, **_BINARY}[found[2].lower()]
    size = int(float(found[1]) * scale)
    if size < 1:
        raise PlanError(field, f"{text!r} is nothing", "give at least one byte")
    return size


def parse_size(text: str, field: str = "image") -> tuple[int, int]:
    """Pixels of "1344x896", width first. Raises PlanError for others."""
    sides = re.split(r"[x×]", text.strip().lower())
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise PlanError(
            field, f"{text!r} is not a picture size", "write width and height: 1344x896"
        )
    return int(sides[0]), int(sides[1])


def show_bytes(size: float) -> str:
    """Three digits and a decimal unit: 302 MB, 14.1 GB."""
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= 0.9995 * scale:
            return f"{_digits(size / scale)} {unit}"
    return f"{size:.0f} B"


def show_count(number: float) -> str:
    """Three digits and a short scale: 303 M, 13.4 B."""
    for unit, scale in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= 0.9995 * scale:
            return f"{_digits(number / scale)} {unit}"
    return f"{number:.0f}"


def show_seconds(seconds: float) -> str:
    """Three digits and a unit from microseconds to days."""
    if seconds >= 48 * 3600:
        return f"{_digits(seconds / 86400)} days"
    for unit, scale in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * scale:
            return f"{_digits(seconds / scale)} {unit}"
    return f"{_digits(seconds * 1e6)} µs"


def _digits(value: float) -> str:
    return (
        f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    )
