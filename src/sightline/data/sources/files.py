"""From a file or folder to its rows, by suffix and content."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from sightline.core.errors import DataError
from sightline.data.sources.arrow import (
    Groups,
    ParquetRows,
    arrow_rows,
    parquet_rows,
    slow_groups,
)
from sightline.data.sources.gz import gzip_rows
from sightline.data.sources.json_rows import line_rows, list_rows, read_mapping, sniff_json
from sightline.data.sources.pictures import MetadataRows, is_picture, picture_rows
from sightline.data.sources.table import Joined, Table, reading
from sightline.data.sources.tar import TarRows, left_out, tar_rows

KINDS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl.gz",
    ".ndjson.gz": "jsonl.gz",
    ".json.gz": "jsonl.gz",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".tar": "tar",
}
_META = "metadata.jsonl"
_NO_ROWS = ("dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json")
_SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
}


@dataclass(frozen=True)
class Found:
    """Rows, and what people should know about them."""

    table: Table
    notes: tuple[str, ...] = ()


def kind_of_file(path: Path) -> str | None:
    """What a file's name says it holds; None if no rows."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return KINDS.get("".join(suffixes[-2:])) or KINDS.get("".join(suffixes[-1:]))


def find_rows(path: Path, name: str) -> Found:
    """The rows of a file or folder. Raises DataError."""
    if path.is_dir():
        return _folder(path, name.rstrip("/"))
    return join([(path, name)], name)


def join(files: Sequence[tuple[Path, str]], name: str) -> Found:
    """Files of one kind, one behind the other. Raises DataError."""
    kinds = Counter(kind_of_file(path) or path.suffix or "no suffix" for path, _ in files)
    if len(kinds) > 1:
        shown = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        raise DataError(name, f"mixes kinds of files ({shown})", "name those of one kind")
    _check_splits([name for _, name in files], name)
    groups = Groups()
    tables = [_table(path, called, groups) for path, called in files]
    notes = tuple(_notes(name, tables))
    if len(tables) > 1:
        notes = (f"joins {len(tables)} files of {name}", *notes)
    return Found(tables[0] if len(tables) == 1 else Joined(tables), notes)


def _table(path: Path, name: str, groups: Groups) -> Table:
    match kind_of_file(path):
        case "jsonl":
            return line_rows(path, name)
        case "jsonl.gz":
            return gzip_rows(path, name)
        case "json":
            return _json(path, name)
        case "parquet":
            return parquet_rows(path, name, groups)
        case "arrow":
            return arrow_rows(path, name)
        case "tar":
            return tar_rows(path, name)
        case _:
            problem = f"is of no known kind ({path.suffix or 'no suffix'})"
            known = ", ".join(KINDS)
            raise DataError(name, problem, f"give {known}, a folder, or a mixture file")


def _json(path: Path, name: str) -> Table:
    match sniff_json(path, name):
        case "list":
            return list_rows(path, name)
        case "lines":
            return line_rows(path, name)
        case "mapping":
            fix = "give a list of rows; of a dataset_info.json name one entry: path#name"
            shown = ", ".join(map(repr, list(read_mapping(path, name))[:4]))
            raise DataError(name, f"is one mapping ({shown}), not a list of rows", fix)
        case kind:
            assert_never(kind)


def _notes(name: str, tables: Sequence[Table]) -> Iterator[str]:
    shards = [table for table in tables if isinstance(table, TarRows)]
    if unread := sorted({suffix for shard in shards for suffix in left_out(shard)}):
        yield f"leaves out members .{', .'.join(unread)} of {name}"
    parquet = [table for table in tables if isinstance(table, ParquetRows)]
    if parquet and (slow := slow_groups(parquet)):
        yield slow


def _folder(root: Path, name: str) -> Found:
    with reading(name):
        files = sorted(path for path in root.rglob("*") if path.is_file() and _seen(path, root))
    if (root / "dataset_dict.json").is_file():
        splits = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        raise DataError(name, f"holds the splits {', '.join(splits)}", f"give {name}/{splits[0]}")
    if (entries := _entries(root / "dataset_info.json", name)) is not None:
        fix = f"name one: {name}/dataset_info.json#{entries[0]}"
        raise DataError(name, f"holds the data sets {', '.join(entries[:8])}", fix)
    pictures = [path for path in files if is_picture(path)]
    metas = [path for path in files if path.name == _META]
    rows = [path for path in files if kind_of_file(path) and path.name not in (_META, *_NO_ROWS)]
    called = [(path, f"{name}/{path.relative_to(root).as_posix()}") for path in rows]
    if metas and rows:
        problem = f"holds {_META} and other rows ({called[0][1]})"
        raise DataError(name, problem, "name one of the files")
    if metas:
        return _metadata(metas, pictures, root, name)
    if rows:
        found = join(called, name)
        return found if len(rows) > 1 else Found(found.table, (f"finds {called[0][1]}",))
    if pictures:
        _check_splits([path.relative_to(root).as_posix() for path in pictures], name)
        table = picture_rows(root, name, pictures)
        where = "texts beside them" if table.beside else "their subfolders"
        return Found(table, (f"takes captions of {len(pictures):,} pictures from {where}",))
    raise DataError(name, "holds neither rows nor pictures", f"give a folder of {', '.join(KINDS)}")


def _entries(info: Path, name: str) -> list[str] | None:
    """Names in LLaMA-Factory's dataset_info.json; `datasets` has another file of this name."""
    data = read_mapping(info, f"{name}/{info.name}") if info.is_file() else {}
    marks = {"file_name", "hf_hub_url", "ms_hub_url", "script_url"}
    ours = bool(data) and all(isinstance(v, dict) and marks & v.keys() for v in data.values())
    return list(data) if ours else None


def _metadata(metas: list[Path], pictures: list[Path], root: Path, name: str) -> Found:
    called = [f"{name}/{path.relative_to(root).as_posix()}" for path in metas]
    _check_splits(called, name)
    tables = [
        MetadataRows(line_rows(path, row_name))
        for path, row_name in zip(metas, called, strict=True)
    ]
    rows, found = sum(map(len, tables)), len(pictures)
    notes = () if rows == found else (f"{name} has {found:,} pictures for {rows:,} rows",)
    return Found(tables[0] if len(tables) == 1 else Joined(tables), notes)


def _seen(path: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def _check_splits(names: Iterable[str], name: str) -> None:
    """Rows for testing must not slip into training because they lie in the same folder. What all
    names begin with tells no splits apart; one file is one split."""
    first: dict[str, str] = {}
    several = tuple(names)
    start = len(os.path.commonpath(several)) if len(several) > 1 else 0
    for path in several if len(several) > 1 else ():
        for word in re.split(r"[^a-z]+", path[start:].lower()):
            if word in _SPLITS:
                first.setdefault(_SPLITS[word], path)
    if len(first) > 1:
        shown = " and ".join(first.values())
        fix = f"give those of one split by a pattern, as in {name}/train*"
        raise DataError(name, f"holds several splits ({shown})", fix)
