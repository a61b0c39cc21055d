"""Rows of generated scenes as samples."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.data.sample import Sample
from sightline.data.scene_rows import scene_sample
from sightline.spec.train import ScenesSpec


@dataclass(frozen=True)
class Scenes:
    """Row i of an endless world, from (spec, i) alone."""

    spec: ScenesSpec

    @property
    def name(self) -> str:
        return f"scenes-{self.spec.seed}"

    @property
    def num_rows(self) -> None:
        return None

    def sample(self, index: int) -> Sample:
        return scene_sample(self.spec, index, f"{self.name}:{index}")
