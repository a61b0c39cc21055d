"""Whether the media of a sample can be opened, from their headers."""

from __future__ import annotations

from typing import Any, assert_never

from sightline.core.errors import DataError, PictureError
from sightline.data.sample import Media, Sample
from sightline.pictures import probe, probe_clip, probe_pages


def check_media(sample: Sample) -> tuple[DataError, ...]:
    """One error for each picture, clip or document whose header cannot be read, in order.

    Media of a rejected conversation count too. Nothing is decoded.
    """
    turns = (*sample.turns, *(sample.rejected or ()))
    found = (_problem(sample.id, media) for turn in turns for media in turn.media)
    return tuple(error for error in found if error is not None)


def _problem(where: str, media: Media) -> DataError | None:
    source: Any = media.source
    try:
        match media.kind:
            case "image":
                probe(source)
            case "video":
                probe_clip(source, fps=media.fps)
            case "document":
                probe_pages(source)
            case _:
                assert_never(media.kind)
    except PictureError as error:
        return DataError(where, f"{error.field}: {error.problem}", error.fix)
    return None
