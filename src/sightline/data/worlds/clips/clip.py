"""What a clip is, and the pixels of its frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.data.worlds import scenes


@dataclass(frozen=True, slots=True)
class Event:
    """An object in sight from frame `start` to the one before `stop`."""

    thing: scenes.Thing
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Clip:
    """`num_frames` frames of one ground, and what appears on it. Raises DataError for an event that
    is not in the clip."""

    num_frames: int
    ground: scenes.Backdrop
    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        for event in self.events:
            if not 0 <= event.start < event.stop <= self.num_frames:
                shown = f"frames {event.start} to {event.stop} of {self.num_frames}"
                raise DataError("event", shown, "start in the clip, and stop later, in it")

    def scene(self, index: int) -> scenes.Scene:
        """What is in sight in a frame. Raises DataError for a frame that is not there."""
        if not 0 <= index < self.num_frames:
            raise DataError("frame", f"{index} of {self.num_frames}", "count from 0")
        seen = (event.thing for event in self.events if event.start <= index < event.stop)
        return scenes.Scene(tuple(seen), self.ground)


def frame(clip: Clip, index: int, side: int) -> NDArray[np.uint8]:
    """uint8[side, side, 3], RGB."""
    return scenes.draw(clip.scene(index), side)
