"""Where a path of a recipe points."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from sightline.core.errors import DataError

_REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_BRACES = re.compile(r"\{([^{}]+)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
MAX_SHARDS = 1_000_000


def locate(path: str, *folders: Path) -> Path:
    """An existing file or folder: beside the recipe first, then from the working directory.

    Raises DataError that says where it was looked for.
    """
    if _REMOTE.match(path):
        fix = "download it, or name a hub data set with kind: hub"
        raise DataError(path, "is an address, and nothing is fetched", fix)
    given = Path(path).expanduser()
    places = dict.fromkeys((*(folder / given for folder in folders), given))
    found = next((place for place in places if place.exists()), None)
    if found is None:
        looked = " or ".join(str(place.absolute()) for place in places)
        raise DataError(path, "does not exist", f"check the path; looked for {looked}")
    return found


def is_pattern(path: str) -> bool:
    """Whether a path names several files: braces, `*` or `?`."""
    return bool(_BRACES.search(path)) or glob.has_magic(path)


def locate_all(pattern: str, *folders: Path) -> list[tuple[Path, str]]:
    """The files of a pattern with their names, in the order of braces and sorted within a glob.

    `shards/{0000..0012}.tar` and `{a,b}/*.parquet` are patterns; the matches of a glob are those
    in the first folder that has any, the working directory being the last. Raises DataError if a
    name between braces does not exist, a glob finds nothing, or a file is named twice.
    """
    found: list[tuple[Path, str]] = []
    for name in dict.fromkeys(expand(pattern)):
        one = _matches(name, *folders) if glob.has_magic(name) else [(locate(name, *folders), name)]
        found += one
    seen: set[str] = set()
    for place, name in found:
        if (whole := os.path.abspath(place)) in seen:
            fix = "write the pattern so that its parts name different files"
            raise DataError(pattern, f"names a file twice: {name}", fix)
        seen.add(whole)
    return found


def _matches(name: str, *folders: Path) -> list[tuple[Path, str]]:
    bases = dict.fromkeys((*folders, Path()))
    found = next((m for m in (_globbed(name, base) for base in bases) if m), None)
    if found is None:
        looked = " or ".join(str(base.absolute()) for base in bases)
        raise DataError(name, "matches no file", f"check the pattern; looked in {looked}")
    return found


def _globbed(pattern: str, base: Path) -> list[tuple[Path, str]]:
    names = sorted(glob.glob(str(Path(pattern).expanduser()), root_dir=base, recursive=True))
    return [(base / name, name) for name in names if (base / name).is_file()]


def expand(pattern: str) -> Iterator[str]:
    """Shell braces: `{000..012}` counts (keeping zeros), `{a,b}` lists. Raises DataError."""
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    head, tail = pattern[: braces.start()], pattern[braces.end() :]
    for choice in _choices(braces[1], pattern):
        yield from expand(head + choice + tail)


def _choices(inside: str, pattern: str) -> Iterator[str]:
    counted = _RANGE.fullmatch(inside)
    if counted is None:
        yield from inside.split(",")
        return
    first, last = int(counted[1]), int(counted[2])
    if not first <= last < first + MAX_SHARDS:
        raise DataError(pattern, f"counts {inside}", "count upwards, at most a million")
    width = len(counted[1]) if counted[1].startswith("0") else 0
    yield from (f"{number:0{width}}" for number in range(first, last + 1))
