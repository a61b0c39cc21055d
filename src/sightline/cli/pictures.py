"""Pictures named on the command line."""

from __future__ import annotations

from collections.abc import Iterable

from sightline.api import VisionLanguageModel
from sightline.pictures.gateway import open_picture, probe
from sightline.pictures.picture import Picture


def check(files: Iterable[str]) -> None:
    """Raises PictureError from the headers alone, before a model is loaded."""
    for file in files:
        probe(file)


def opened(file: str, vlm: VisionLanguageModel) -> Picture:
    """The picture as `vlm` opens it, transparent pixels over its background."""
    return open_picture(file, over=vlm.spec.resolution.pixels.over)
