"""Entries of LLaMA-Factory's dataset_info.json."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sightline.core.errors import DataError
from sightline.data.sources.files import find_rows
from sightline.data.sources.hub import HubRows, stream_of
from sightline.data.sources.json_rows import read_mapping
from sightline.data.sources.opened import PEEK, How, Opened, named, open_rows
from sightline.data.sources.paths import locate
from sightline.spec.train import Dialect, FilesSpec, HubSpec

_KEYS = frozenset(
    "file_name hf_hub_url ms_hub_url om_hub_url formatting ranking subset split folder "
    "num_samples columns tags revision".split()
)
_FORMATS: dict[str, Dialect] = {"alpaca": "alpaca", "sharegpt": "sharegpt", "openai": "sharegpt"}


def open_entry(
    spec: FilesSpec, file: Path, entry: str, media: Path | None, seed: int
) -> tuple[Opened, ...]:
    """The data set called `entry`: a file beside the dataset_info.json, or one of the hub.

    The dialect is what `formatting`, `ranking` and the column kto_tag say, unless the recipe names
    one. num_samples takes so many rows at random; of fewer rows all, more often. Raises DataError.
    """
    where = spec.path
    keys = _entry(read_mapping(file, where.rpartition("#")[0]), entry, where)
    columns = {**_texts(keys, "columns", where), **spec.columns}
    tags = _texts(keys, "tags", where)
    dialect = spec.dialect or _dialect(keys, columns, where)
    own = spec.model_copy(update={"columns": columns, "dialect": dialect})
    if "hf_hub_url" in keys:
        return (_hub(own, keys, media, tags),)
    return (_file(own, keys, file, media, tags, seed),)


def _file(
    spec: FilesSpec,
    keys: Mapping[str, Any],
    info: Path,
    media: Path | None,
    tags: dict[str, str],
    seed: int,
) -> Opened:
    where = spec.path
    if "file_name" not in keys:
        problem = "names neither file_name nor hf_hub_url"
        raise DataError(where, problem, "give one of them; other hubs and scripts are not read")
    for name in ("subset", "folder"):
        if keys.get(name) is not None:
            raise DataError(f"{where} {name}", "is for data sets of a hub", "remove it")
    if keys.get("split", "train") != "train":
        problem = f"is {keys['split']!r:.40}, but a file has no splits"
        raise DataError(f"{where} split", problem, "remove it, or name the file of that split")
    found = find_rows(locate(str(keys["file_name"]), info.parent), str(keys["file_name"]))
    own = _sampled(spec, keys, len(found.table))
    media = info.parent if media is None else media
    return open_rows(found.table, own, media, seed, tags=tags, notes=found.notes)


def _sampled(spec: FilesSpec, keys: Mapping[str, Any], rows: int) -> FilesSpec:
    """num_samples as `take`, or as `repeat` where there are fewer rows."""
    number = keys.get("num_samples")
    if number is None:
        return spec
    where = f"{spec.path} num_samples"
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise DataError(where, f"is {number!r:.40}", "give a number of rows")
    if spec.take != "all":
        raise DataError(where, f"stands beside take: {spec.take}", "keep one of them")
    if number <= rows:
        return spec.model_copy(update={"take": f"random:{number}"})
    return spec.model_copy(update={"repeat": spec.repeat * number / rows})


def _hub(
    spec: FilesSpec, keys: Mapping[str, Any], media: Path | None, tags: dict[str, str]
) -> Opened:
    where = spec.path
    if keys.get("num_samples") is not None:
        problem = "needs the number of rows, which a stream does not know"
        raise DataError(f"{where} num_samples", problem, "remove it and use take: first:N")
    texts = {
        name: str(keys[name])
        for name in ("subset", "split", "revision", "folder")
        if keys.get(name) is not None
    }
    path = str(keys["hf_hub_url"])
    raw = HubRows(path, where, **texts)
    dialect = spec.dialect or named(islice(raw, PEEK), where)
    how = How(dialect, media, spec.columns, tags, spec.media_first)
    hub = HubSpec(name=path, take=spec.take, repeat=spec.repeat, weight=spec.weight)
    return stream_of(raw, how, hub)


def _entry(info: Mapping[str, Any], entry: str, where: str) -> Mapping[str, Any]:
    if entry not in info:
        shown = ", ".join(list(info)[:8]) + (", ..." if len(info) > 8 else "")
        raise DataError(where, f"has no entry {entry!r:.60}", f"name one of {shown}")
    keys = info[entry]
    if not isinstance(keys, dict):
        raise DataError(where, "is not a mapping", "write {file_name: ...}")
    if unknown := [key for key in keys if key not in _KEYS]:
        problem = f"has {unknown[0]!r:.60}, which is not read"
        fix = "download its rows into a file" if unknown[0] == "script_url" else "remove it"
        raise DataError(where, problem, fix)
    return keys


def _texts(keys: Mapping[str, Any], name: str, where: str) -> dict[str, str]:
    value = keys.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise DataError(f"{where} {name}", "is not a mapping of texts", "write {ours: theirs}")
    return value


def _dialect(keys: Mapping[str, Any], columns: Mapping[str, str], where: str) -> Dialect:
    formatting = keys.get("formatting", "alpaca")
    if keys.get("ranking"):
        return "preference"
    if "kto_tag" in columns:
        return "kto"
    if formatting not in _FORMATS:
        problem = f"is {formatting!r:.40}"
        raise DataError(f"{where} formatting", problem, f"use {', '.join(_FORMATS)}")
    return _FORMATS[formatting]
