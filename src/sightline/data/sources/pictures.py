"""A folder of pictures: captions from a file beside each, or from the names of subfolders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.errors import DataError
from sightline.data.sources.json_rows import JsonRows
from sightline.data.sources.json_text import decoded
from sightline.data.sources.table import reading
from sightline.data.sources.tar_row import PICTURES


@dataclass(frozen=True)
class PictureRows:
    """Pictures by path within a folder, sorted. beside: captions lie in `<picture>.txt`; else the
    subfolder is the caption."""

    root: Path
    name: str
    paths: tuple[str, ...]
    beside: bool

    def __len__(self) -> int:
        return len(self.paths)

    def row(self, index: int) -> Mapping[str, Any]:
        path = self.root / self.paths[index]
        return {"image": str(path.absolute()), "text": self._text(path, self.where(index))}

    def _text(self, path: Path, where: str) -> str:
        if not self.beside:
            return path.parent.name
        caption = path.with_suffix(".txt")
        if not caption.is_file():
            fix = f"write {caption.name}, or take the picture away"
            raise DataError(where, "has no caption beside it", fix)
        with reading(where):
            text = decoded(caption.read_bytes(), f"{where} ({caption.name})").strip()
        if not text:
            raise DataError(where, f"has an empty caption ({caption.name})", "write one")
        return text

    def where(self, index: int) -> str:
        return f"{self.name}/{self.paths[index]}"

    def folder(self, index: int) -> Path:
        return self.root


@dataclass(frozen=True)
class MetadataRows:
    """Rows of a metadata.jsonl whose `file_name` is a picture beside it (Hugging Face's layout)."""

    rows: JsonRows

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> Mapping[str, Any]:
        row = self.rows.row(index)
        name = row.pop("file_name", None)
        if not isinstance(name, str) or not name:
            problem = "has no file_name" if name is None else f"has the file_name {name!r:.60}"
            raise DataError(self.where(index), problem, "name the picture of the row")
        if "image" in row:
            raise DataError(self.where(index), "has file_name and image", "keep one of them")
        return {"image": name, **row}

    def where(self, index: int) -> str:
        return self.rows.where(index)

    def folder(self, index: int) -> Path:
        return self.rows.folder(index)


def is_picture(path: Path) -> bool:
    return path.suffix[1:].lower() in PICTURES


def picture_rows(root: Path, name: str, pictures: list[Path]) -> PictureRows:
    """Raises DataError where neither texts nor subfolders say anything."""
    beside = any(path.with_suffix(".txt").is_file() for path in pictures)
    at_top = next((path.name for path in pictures if path.parent == root), None)
    if not beside and at_top is not None:
        problem = f"holds {at_top} without a caption: no text beside a picture, no subfolders"
        fix = "write texts of the same name, a metadata.jsonl, or sort pictures by class"
        raise DataError(name, problem, fix)
    paths = sorted(path.relative_to(root).as_posix() for path in pictures)
    return PictureRows(root, name.rstrip("/"), tuple(paths), beside)
