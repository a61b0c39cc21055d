"""From a declared source to one that can be read."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from sightline.core.errors import DataError
from sightline.data.sources.files import find_rows, join
from sightline.data.sources.hub import open_hub
from sightline.data.sources.json_rows import read_mapping, sniff_json
from sightline.data.sources.llama_factory import open_entry
from sightline.data.sources.mixtures import intern_meta, is_intern_meta, next_mixture, shared_out
from sightline.data.sources.opened import Opened, open_rows
from sightline.data.sources.paths import is_pattern, locate, locate_all
from sightline.data.sources.scenes import Scenes
from sightline.spec.train import FilesSpec, HubSpec, ScenesSpec


def open_source(
    spec: ScenesSpec | FilesSpec | HubSpec, folder: Path, seed: int = 0
) -> tuple[Opened, ...]:
    """The sources that a spec names; a mixture file opens as several.

    folder: the recipe's, where relative paths are looked for before the working directory.
    seed: settles which rows `random:N` takes.

    Raises DataError naming the file for what cannot be read, is empty, is of no known kind or
    dialect, or needs a library that is missing.
    """
    match spec:
        case ScenesSpec():
            return (Opened(Scenes(spec), spec.weight, 1.0, ("draws scenes without end",)),)
        case FilesSpec():
            return _files(spec, folder, seed)
        case HubSpec():
            return (open_hub(spec, folder, _media(spec, folder)),)
        case _:
            assert_never(spec)


def _media(spec: FilesSpec | HubSpec, folder: Path) -> Path | None:
    if spec.media is None:
        return None
    media = locate(spec.media, folder)
    if not media.is_dir():
        raise DataError("media", f"{spec.media} is a file", "give the folder of the pictures")
    return media.absolute()


def _files(spec: FilesSpec, folder: Path, seed: int) -> tuple[Opened, ...]:
    media = _media(spec, folder)
    before, mark, entry = spec.path.rpartition("#")
    if mark and before.endswith(".json"):
        return open_entry(spec, locate(before, folder), entry, media, seed)
    if is_pattern(spec.path) and not (folder / spec.path).exists():
        found = join(locate_all(spec.path, folder), spec.path)
    else:
        path = locate(spec.path, folder)
        if (mixture := _mixture(spec, path, folder, media, seed)) is not None:
            return shared_out(mixture, spec.weight)
        found = find_rows(path, spec.path)
    return (open_rows(found.table, spec, media, seed, notes=found.notes),)


def _mixture(
    spec: FilesSpec, path: Path, folder: Path, media: Path | None, seed: int
) -> tuple[Opened, ...] | None:
    """The sources of a mixture file; None for other files."""
    suffix = path.suffix.lower() if path.is_file() else ""
    if suffix not in (".yaml", ".yml", ".json"):
        return None
    if suffix == ".json":
        if sniff_json(path, spec.path) != "mapping":
            return None
        data = read_mapping(path, spec.path)
        if not is_intern_meta(data):
            return None
    if spec.take != "all":
        problem = f"{spec.take} stands beside {spec.path}, whose entries say what is taken"
        raise DataError("take", problem, "take rows in the mixture file")
    if suffix == ".json":
        return intern_meta(spec, data, path, folder, media, seed)
    return next_mixture(spec, path, folder, media, seed)
