"""The small files of a model folder, and the tensor names beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.core.errors import FamilyError, FolderError
from sightline.families.headers import TensorInfo, read_index


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A config, and the folder it lies in; `tensors` is empty where no weights were found."""

    config: dict[str, Any]
    folder: Path | None = None
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.folder) if self.folder else "config"

    @property
    def dtype(self) -> str | None:
        """`dtype` (5.x) or `torch_dtype` (4.x), at the top or of the text model."""
        for level in (self.config, self.config.get("text_config") or {}):
            for key in ("dtype", "torch_dtype"):
                if isinstance(value := level.get(key), str):
                    return value
        return None

    def json(self, file: str) -> dict[str, Any]:
        """The object in `file`; empty if the folder has no such file."""
        if self.folder is None or not (self.folder / file).is_file():
            return {}
        return read_json(self.folder / file)

    def text(self, file: str) -> str | None:
        if self.folder is None or not (self.folder / file).is_file():
            return None
        return (self.folder / file).read_text(encoding="utf-8")


def open_checkpoint(source: Path | str | Mapping[str, Any]) -> Checkpoint:
    """A folder with config.json, or the config alone.

    Raises FolderError for what is no model folder, WeightError for damaged safetensors files.
    """
    if isinstance(source, Mapping):
        return Checkpoint(dict(source))
    folder = Path(source)
    if not folder.is_dir():
        raise FolderError(str(folder), "is not a folder", "give the folder that holds config.json")
    if not (folder / "config.json").is_file():
        raise FolderError(
            str(folder),
            f"has no config.json (found: {listing(folder)})",
            "give the folder of the whole model",
        )
    return Checkpoint(read_json(folder / "config.json"), folder, read_index(folder))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises FolderError for anything else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise FolderError(str(path), f"cannot be read ({error})", "download it again") from None
    if not isinstance(data, dict):
        raise FolderError(str(path), f"holds a {type(data).__name__}", "expected an object")
    return data


def listing(folder: Path) -> str:
    """The first names in a folder, for errors."""
    names = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(names[:6]) or "nothing"
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"


def root_of(checkpoint: Checkpoint, anchor: str, roots: tuple[str, ...], family: str) -> str:
    """The prefix under which `anchor` lies on disk; the first where no weights are at hand.

    Raises FamilyError if it lies under none.
    """
    if not checkpoint.tensors:
        return roots[0]
    for root in roots:
        if root + anchor in checkpoint.tensors:
            return root
    some = ", ".join(sorted(checkpoint.tensors)[:3])
    raise FamilyError(
        checkpoint.name,
        f"has no tensor {anchor} under {' or '.join(repr(root) for root in roots)} (it has {some})",
        f"its names are not those of family {family}",
    )
