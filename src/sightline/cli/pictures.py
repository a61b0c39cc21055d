"""Pictures, videos and documents named on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightline.api import VisionLanguageModel
from sightline.core.errors import PromptError
from sightline.pictures.clips import probe_clip
from sightline.pictures.gateway import open_picture, probe
from sightline.pictures.pages import probe_pages
from sightline.pictures.picture import Picture
from sightline.pictures.sorts import sort_of


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: animations as clips (`video`), and which pages of documents."""

    video: bool = False
    pages: str | None = None

    def part(self, file: str) -> dict[str, Any]:
        """A file as a part of a message."""
        sort = sort_of(file, moving=self.video)
        if sort != "document":
            return {"type": sort, "path": file}
        first, last = self._range()
        return {"type": sort, "path": file, "first": first, "last": last}

    def _range(self) -> tuple[int, int | None]:
        """`3`, `2-5` or `2-`. Raises PromptError for anything else."""
        if self.pages is None:
            return 1, None
        first, dash, last = self.pages.partition("-")
        if not first.isdecimal() or int(first) < 1 or not (last.isdecimal() or not last):
            raise PromptError("--pages", f"{self.pages!r} is no range", "write 3, 2-5 or 2-")
        return int(first), int(last) if last else (None if dash else int(first))


def check(files: Sequence[str], reading: Reading) -> None:
    """Raises PictureError from the headers alone, before a model is loaded."""
    for file in files:
        part = reading.part(file)
        match part["type"]:
            case "video":
                probe_clip(file)
            case "document":
                probe_pages(file, first=part["first"], last=part["last"])
            case _:
                probe(file)


def opened(file: str, vlm: VisionLanguageModel) -> Picture:
    """The picture as `vlm` opens it, transparent pixels over its background."""
    return open_picture(file, over=vlm.spec.resolution.pixels.over)
