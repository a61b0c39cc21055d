"""Where a place in the picture lies in a view, and back: for drawing and grounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sightline.core.geometry import Box, Point
from sightline.resolution.layout import View

Place = TypeVar("Place", Box, Point)


def to_view(view: View, place: Place) -> Place:
    """Pixels of the user's picture -> pixels of the view. Nothing is clipped: a place outside the
    window gets coordinates outside it."""
    before, resized, window = view.before, view.resized, view.window
    return _moved(
        place,
        lambda x: (x + before.x) * resized.width / before.size.width + window.x,
        lambda y: (y + before.y) * resized.height / before.size.height + window.y,
    )


def from_view(view: View, place: Place) -> Place:
    """Pixels of the view -> pixels of the user's picture; the inverse of `to_view`."""
    before, resized, window = view.before, view.resized, view.window
    return _moved(
        place,
        lambda x: (x - window.x) * before.size.width / resized.width - before.x,
        lambda y: (y - window.y) * before.size.height / resized.height - before.y,
    )


def _moved(place: Place, x: Callable[[float], float], y: Callable[[float], float]) -> Place:
    if isinstance(place, Point):
        return Point(x(place.x), y(place.y), place.label)
    return Box(x(place.x0), y(place.y0), x(place.x1), y(place.y1), place.label)
