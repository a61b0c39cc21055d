"""Mixture files of other kits: LLaVA-NeXT's YAML and InternVL's meta JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.core.config import load_yaml, read_text
from sightline.core.errors import DataError, SpecError
from sightline.data.sources.files import Found, find_rows, join
from sightline.data.sources.opened import Opened, open_rows
from sightline.data.sources.paths import is_pattern, locate, locate_all
from sightline.spec.train import FilesSpec

_NEXT_KEYS = ("json_path", "sampling_strategy")
_INTERN_KEYS = ("root", "annotation", "data_augment", "repeat_time", "max_dynamic_patch", "length")
Media = Path | None


def find(path: str, *folders: Path) -> Found:
    """The rows at a path or pattern."""
    if is_pattern(path):
        return join(locate_all(path, *folders), path)
    return find_rows(locate(path, *folders), path)


def next_mixture(
    spec: FilesSpec, file: Path, folder: Path, media: Media, seed: int
) -> tuple[Opened, ...]:
    """`datasets: [{json_path, sampling_strategy}]`: all, first:N, end:N or random:N, N or N%.

    Paths are looked for beside the file, then as a recipe's are. Raises DataError.
    """
    entries = _yaml(file, spec.path).get("datasets")
    if not isinstance(entries, list) or not entries:
        raise DataError(spec.path, "has no list of datasets", "write datasets: [{json_path: ...}]")
    return tuple(
        _next_entry(entry, f"{spec.path} datasets.{i}", spec, (file.parent, folder), media, seed)
        for i, entry in enumerate(entries)
    )


def _yaml(file: Path, name: str) -> dict[str, Any]:
    try:
        return load_yaml(read_text(file))
    except SpecError as error:
        raise DataError(name, f"{error.field} {error.problem}", error.fix) from None


def _next_entry(
    entry: Any, where: str, spec: FilesSpec, folders: tuple[Path, ...], media: Media, seed: int
) -> Opened:
    keys = _keys(entry, where, _NEXT_KEYS, needs="json_path")
    path = _text(keys, "json_path", where)
    take = str(keys.get("sampling_strategy", "all"))
    try:
        own = spec.model_copy(update={"path": path})
        own = FilesSpec.parse(own.model_dump() | {"take": take, "weight": None})
    except SpecError as error:
        raise DataError(f"{where}.sampling_strategy", error.problem, error.fix) from None
    found = find(path, *folders)
    return open_rows(found.table, own, media, seed, notes=found.notes)


def is_intern_meta(data: Mapping[str, Any]) -> bool:
    """Whether every value of a mapping is an entry with an annotation."""
    return bool(data) and all(isinstance(v, dict) and "annotation" in v for v in data.values())


def intern_meta(
    spec: FilesSpec, data: Mapping[str, Any], file: Path, folder: Path, media: Media, seed: int
) -> tuple[Opened, ...]:
    """`{name: {root, annotation, data_augment, repeat_time, max_dynamic_patch}}`.

    repeat_time below 1 takes the first rows, as in InternVL. Pictures that no placeholder names
    stand first, as there. Raises DataError for augmentation and limits of tiles per source.
    """
    folders = (*(() if media is None else (media,)), file.parent, folder)
    return tuple(
        _intern_entry(entry, f"{spec.path} {name}", spec, folders, seed)
        for name, entry in data.items()
    )


def _intern_entry(
    entry: Any, where: str, spec: FilesSpec, folders: tuple[Path, ...], seed: int
) -> Opened:
    keys = _keys(entry, where, _INTERN_KEYS, needs="annotation")
    _refuse_undone(keys, where)
    path = _text(keys, "annotation", where)
    root = keys.get("root")
    media = locate(_text(keys, "root", where), *folders) if root else None
    found = find(path, *folders)
    rows, times = len(found.table), _repeat(keys.get("repeat_time", 1), where)
    cut = {"take": f"first:{int(rows * times)}"} if times < 1 else {}
    update: dict[str, Any] = {
        "path": path,
        "media_first": True,
        "weight": None,
        "repeat": spec.repeat * max(times, 1),
    } | cut
    notes = list(found.notes)
    if (said := keys.get("length")) is not None and said != rows:
        notes.append(f"{where} says {said:,} rows, its file has {rows:,}")
    own = spec.model_copy(update=update)
    return open_rows(found.table, own, media, seed, notes=tuple(notes))


def _refuse_undone(keys: Mapping[str, Any], where: str) -> None:
    if keys.get("data_augment"):
        problem = "asks for augmented pictures, and pictures are trained on as they are"
        raise DataError(f"{where}.data_augment", problem, "set it to false")
    if keys.get("max_dynamic_patch") is not None:
        problem = "limits the tiles of one source, but a model lays out all pictures alike"
        fix = "remove it, and set the limit in model.resolution"
        raise DataError(f"{where}.max_dynamic_patch", problem, fix)


def _repeat(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise DataError(f"{where}.repeat_time", f"is {value!r:.40}", "give a number over 0")
    return float(value)


def _keys(entry: Any, where: str, known: tuple[str, ...], *, needs: str) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise DataError(where, "is not a mapping", f"write {needs}: ... and so on")
    if unknown := [key for key in entry if key not in known]:
        problem = f"has {unknown[0]!r:.60}, which is not known here"
        raise DataError(where, problem, f"remove it; known are {', '.join(known)}")
    return entry


def _text(keys: Mapping[str, Any], name: str, where: str) -> str:
    value = keys.get(name)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}.{name}", "is missing or no text", "give a path")
    return value


def shared_out(opened: tuple[Opened, ...], weight: float | None) -> tuple[Opened, ...]:
    """The weight of a mixture file shared out by rows times repeats, which is what it means."""
    if weight is None:
        return opened
    sizes = [(one.source.num_rows or 0) * one.repeat for one in opened]  # type: ignore[union-attr]
    return tuple(
        Opened(one.source, weight * size / sum(sizes), one.repeat, one.notes)
        for one, size in zip(opened, sizes, strict=True)
    )
