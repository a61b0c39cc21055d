"""Folders that a command writes into."""

from __future__ import annotations

from pathlib import Path

from sightline.core.errors import FolderError


def writable(folder: Path) -> Path:
    """The folder, made if it is not there. Raises FolderError, before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise FolderError(
            str(folder), f"cannot be written to ({reason})", "name another folder"
        ) from None
    return folder
