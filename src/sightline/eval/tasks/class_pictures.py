"""Pictures with a class each: from a table, a zip archive, or a folder of folders."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sightline.core.errors import DataError
from sightline.data.sources.arrow import library, refusing
from sightline.data.sources.table import reading
from sightline.eval.item import StoredPicture
from sightline.eval.tasks.published import answers_hidden
from sightline.eval.tasks.table import Row, rows
from sightline.pictures.gateway import PictureSource

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class ZippedPicture:
    """A member of an open zip archive, read when it is looked at."""

    archive: zipfile.ZipFile
    where: str
    member: str

    def read(self) -> PictureSource:
        with unpacking(self.where):
            return self.archive.read(self.member)


@dataclass(frozen=True, slots=True)
class ClassPicture:
    """where: file and row, or the name of the picture. label: the class, by name or number."""

    where: str
    source: PictureSource | StoredPicture
    label: str | int


@dataclass(frozen=True, slots=True)
class Prompts:
    """Names of classes by number, and sentences in which `{}` stands for them.

    labels: what files call these classes, if the prompts say so.
    """

    classes: tuple[str, ...] | None
    templates: tuple[str, ...]
    labels: tuple[str, ...] | None = None


def class_pictures(path: Path, files: Sequence[str], fields: tuple[str, str]) -> list[ClassPicture]:
    """What a folder holds: tables whose names match `files`, else `test.zip`, else folders of
    pictures that are named after classes. Or what one table or zip archive holds.

    fields: of the picture and of the class in a table. Raises DataError naming file and row.
    """
    if path.is_dir():
        if any(True for pattern in files for _ in path.glob(pattern)):
            return [_of_row(row, fields) for row in rows(path, *files)]
        if (archive := path / "test.zip").is_file():
            return _found(_zipped(archive), archive)
        return _found(_foldered(path), path)
    if path.suffix.lower() == ".zip":
        return _found(_zipped(path), path)
    return [_of_row(row, fields) for row in rows(path)]


def _of_row(row: Row, fields: tuple[str, str]) -> ClassPicture:
    picture, label = fields
    value = row.value(label)
    if isinstance(value, str):
        return ClassPicture(row.where, row.picture(picture), row.text(label))
    if row.whole(label) < 0:  # how `datasets` writes a label that is not published
        raise answers_hidden(row, label)
    return ClassPicture(row.where, row.picture(picture), row.whole(label))


def _zipped(path: Path) -> Iterator[ClassPicture]:
    with unpacking(path.name):
        archive = zipfile.ZipFile(path)
    for name in sorted(archive.namelist()):
        if _is_picture(name):
            where = f"{path.name}/{name}"
            label = _class_of(Path(name), where)
            yield ClassPicture(where, ZippedPicture(archive, where, name), label)


@contextmanager
def unpacking(name: str) -> Iterator[None]:
    """What zip archives and the system say becomes a DataError."""
    try:
        with reading(name):
            yield
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(name, f"cannot be unpacked ({error})", "pack it again") from None


def _foldered(path: Path) -> Iterator[ClassPicture]:
    for file in sorted(path.rglob("*")):
        if file.is_file() and _is_picture(file.name):
            inner = file.relative_to(path)
            yield ClassPicture(inner.as_posix(), file, _class_of(inner, inner.as_posix()))


def _class_of(inner: Path, where: str) -> str:
    if not inner.parent.name:
        raise DataError(where, "is in no folder of a class", "put it into one, or leave it out")
    return inner.parent.name


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")


def _found(pictures: Iterator[ClassPicture], path: Path) -> list[ClassPicture]:
    found = list(pictures)
    if not found:
        fix = "give class folders with pictures, a zip of them, or a table"
        raise DataError(str(path), "holds no pictures", fix)
    return found


def read_prompts(path: Path, default: str) -> Prompts:
    """`prompts.json` beside the data: {"classes": [...], "templates": [...]}, either of them left
    out if need be. Classes may also be {"n01440764": "tench", ...}: what folders or rows call them,
    with their words. Without templates, `default` is the one. Raises DataError."""
    file = (path if path.is_dir() else path.parent) / "prompts.json"
    if not file.is_file():
        return Prompts(None, (default,))
    with reading(file.name):
        text = file.read_bytes()
    try:
        data = json.loads(text)
    except ValueError as error:
        at = f"{file.name}:{getattr(error, 'lineno', 1)}"
        raise DataError(at, f"is no JSON ({error})", "mend it") from None
    if not isinstance(data, Mapping) or not data.keys() <= {"classes", "templates"}:
        raise DataError(file.name, "is not classes and templates", "write these two lists")
    templates = _texts(data.get("templates", [default]), file.name, "templates")
    if "classes" not in data:
        return Prompts(None, templates)
    called = data["classes"]
    labels = tuple(called) if isinstance(called, Mapping) else None
    words = list(called.values()) if isinstance(called, Mapping) else called
    return Prompts(_texts(words, file.name, "classes"), templates, labels)


def _texts(value: object, name: str, field: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise DataError(name, f"{field} is no list of texts", "write at least one")
    if len(set(value)) < len(value):
        twice = next(v for at, v in enumerate(value) if v in value[:at])
        raise DataError(name, f"{field} has {twice!r:.60} twice", "write each once")
    return tuple(value)


def stored_names(path: Path, files: Sequence[str], field: str) -> tuple[str, ...] | None:
    """Names of classes in the metadata that `datasets` writes into Parquet files, if there."""
    tables = [file for pattern in files for file in sorted(path.glob(pattern))]
    file = path if path.is_file() else next(iter(tables), path)
    if file.suffix.lower() != ".parquet":
        return None
    library(file.name)
    from pyarrow import parquet

    with refusing(file.name):
        metadata = parquet.read_schema(file).metadata or {}
        info = json.loads(metadata.get(b"huggingface", b"{}"))
    names = info.get("info", {}).get("features", {}).get(field, {}).get("names")
    return tuple(names) if isinstance(names, list) else None
