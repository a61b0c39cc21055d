"""One door: what the user calls a model becomes a folder on this machine."""

from __future__ import annotations

import re
from pathlib import Path

from sightline.core.errors import FolderError
from sightline.hub.fetch import fetch

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
MARKS = ("sightline.yaml", "config.json")


def find(
    model: Path | str,
    *,
    revision: str | None = None,
    cache: Path | None = None,
    config_only: bool = False,
    offline: bool = False,
) -> Path:
    """The folder of `model`: an existing path as it is, else a hub id such as `org/name`.

    A hub id is looked up on the network (`offline`: only in the cache) and kept in `cache`, by
    default the one that huggingface_hub shares with other libraries. `config_only` leaves the
    weights where they are.

    Raises FolderError for a path that is no model folder, an id that cannot be found or fetched,
    and a revision of a local path.
    """
    path = Path(model).expanduser()
    if str(model) and path.exists():
        if revision is not None:
            raise FolderError("revision", f"{model} is a folder on this machine", "leave it out")
        return _checked(path)
    if isinstance(model, Path) or not HUB_ID.fullmatch(model):
        raise FolderError(
            str(model), "is neither a folder here nor a hub id", f"check the path{_beside(path)}"
        )
    return _checked(fetch(model, revision, cache, config_only=config_only, offline=offline))


def _checked(folder: Path) -> Path:
    """The folder, if it looks like a model."""
    if not folder.is_dir():
        raise FolderError(str(folder), "is a file", "give the folder that it lies in")
    names = sorted(entry.name for entry in folder.iterdir())
    if any(mark in names for mark in MARKS):
        return folder
    if not names:
        raise FolderError(str(folder), "is empty", "give the folder of a model")
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    raise FolderError(str(folder), f"has no {' or '.join(MARKS)} (found: {shown})", _hint(folder))


def _hint(folder: Path) -> str:
    """What the folder might be instead."""
    inside = sorted(e.name for e in folder.iterdir() if (e / MARKS[1]).is_file())
    if inside:
        return f"give {folder / inside[0]}"
    if (folder / "adapter_config.json").is_file():
        return "it is an adapter: give the folder of its base model"
    if any(folder.glob("*.gguf")):
        return "GGUF is not read: give the original folder"
    return "give the folder of the whole model"


def _beside(path: Path) -> str:
    """Folders with a similar start, where the parent exists."""
    if not path.parent.is_dir():
        return ""
    start = path.name[:3].lower()
    near = sorted(e.name for e in path.parent.iterdir() if e.name.lower().startswith(start))
    return f"; beside it: {', '.join(near[:3])}" if start and near else ""
