"""Pictures of probes: a few numbers each, drawn when they are looked at and not kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.data.worlds import clips, eye_chart, pages, scenes
from sightline.eval.probes.effects import Effect, applied
from sightline.pictures.gateway import PictureSource

SIDE = 224  # of pictures of scenes, in pixels


@dataclass(frozen=True, slots=True)
class ScenePicture:
    """A scene, and what is done to its picture."""

    scene: scenes.Scene
    effect: Effect | None = None
    side: int = SIDE

    def read(self) -> PictureSource:
        """uint8[side, side, 3], or the bytes of a file."""
        pixels = scenes.draw(self.scene, self.side)
        return pixels if self.effect is None else applied(self.effect, pixels)


@dataclass(frozen=True, slots=True)
class ChartPicture:
    """An eye chart."""

    chart: eye_chart.Chart

    def read(self) -> NDArray[np.uint8]:
        """uint8[side, side, 3]."""
        return eye_chart.draw(self.chart)


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page of a document."""

    page: pages.Page

    def read(self) -> NDArray[np.uint8]:
        """uint8[420, 320, 3]."""
        return pages.draw(self.page)


@dataclass(frozen=True, slots=True)
class FramePicture:
    """A frame of a clip."""

    clip: clips.Clip
    index: int
    side: int

    def read(self) -> NDArray[np.uint8]:
        """uint8[side, side, 3]."""
        return clips.frame(self.clip, self.index, self.side)
