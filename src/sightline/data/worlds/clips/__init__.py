"""Clips: objects that appear, and disappear, at exact frames on a still ground.

    events = (Event(thing, 3, 16),)              # in sight in frames 3 to 15
    shown = Clip(16, ground, events)
    pixels = frame(shown, 3, side=112)           # uint8[112, 112, 3]

No torch. What happens is up to who stages it: `eval/probes/video.py`.
"""

from sightline.data.worlds.clips.clip import Clip, Event, frame

__all__ = ["Clip", "Event", "frame"]
