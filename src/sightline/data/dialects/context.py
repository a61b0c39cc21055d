"""What a reader knows of a row beside the row: where it stands, and how its file names things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sightline.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Context:
    """Where a row comes from.

    Attributes:
        where: file and row for people (`train.jsonl:17`); the id of the sample.
        media: folder that relative paths of pictures and clips are joined to.
        columns: our names of fields -> the file's.
        tags: names inside messages, as `tags` of LLaMA-Factory's dataset_info.json.
        media_first: media that no placeholder names stand before the first question, as InternVL
            and swift put them, instead of being an error. Only where the row has no placeholder.
    """

    where: str
    media: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    media_first: bool = False

    def wrong(self, place: str, problem: str, fix: str) -> DataError:
        """The error about one place of the row."""
        return DataError(f"{self.where} {place}".rstrip(), problem, fix)
