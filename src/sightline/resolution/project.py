"""Where a place in the picture lies in its views, and back: for drawing and grounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sightline.core.geometry import Box, Point, Size
from sightline.resolution.layout import Canvas, View, VisualLayout

Place = TypeVar("Place", Box, Point)


def to_view(view: View, place: Place) -> Place:
    """Pixels of the user's picture -> pixels of the view. Nothing is clipped: a place outside the
    window, such as in another tile, gets coordinates outside it."""
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


def shown(view: View, place: Place) -> Place | None:
    """What a view shows of a place, in its pixels: a box cut to the window; None where it shows
    nothing of it."""
    there = to_view(view, place)
    width, height = view.size.width, view.size.height
    if isinstance(there, Point):
        return there if 0 <= there.x < width and 0 <= there.y < height else None
    x0, x1 = max(0.0, there.x0), min(float(width), there.x1)
    y0, y1 = max(0.0, there.y0), min(float(height), there.y1)
    return Box(x0, y0, x1, y1, there.label) if x0 < x1 and y0 < y1 else None


def views_of(laid: VisualLayout, media: int, place: Place) -> tuple[tuple[int, Place], ...]:
    """The views of one media item that show something of a place: their numbers, and where it is
    in each. A tiling shows it in its tiles and again in the thumbnail."""
    found = (
        (number, shown(view, place))
        for number, view in enumerate(laid.views)
        if view.media == media
    )
    return tuple((number, there) for number, there in found if there is not None)


def seen_size(laid: VisualLayout, media: int, picture: Size) -> Size:
    """How large the user's picture is in the finest of its views, before that is cut into tiles
    and without what is laid around it: the size in whose pixels the style `pixels` counts."""
    views = [view for view in laid.views if view.media == media]
    finest = max(views, key=lambda view: view.resized.area / view.before.size.area)
    before, resized = finest.before.size, finest.resized
    return Size(
        max(1, round(picture.width * resized.width / before.width)),
        max(1, round(picture.height * resized.height / before.height)),
    )


def surface(laid: VisualLayout, media: int) -> Canvas:
    """What one media item is laid on before it is resized: for a padded picture its square."""
    return next(view.before for view in laid.views if view.media == media)


def off_surface(below: Canvas, place: Place) -> Place:
    """Pixels of a surface -> pixels of the picture that lies on it."""
    return _moved(place, lambda x: x - below.x, lambda y: y - below.y)


def on_surface(below: Canvas, place: Place) -> Place:
    """Pixels of a picture -> pixels of the surface that it lies on; the inverse of the above."""
    return _moved(place, lambda x: x + below.x, lambda y: y + below.y)


def _moved(place: Place, x: Callable[[float], float], y: Callable[[float], float]) -> Place:
    if isinstance(place, Point):
        return Point(x(place.x), y(place.y), place.label)
    return Box(x(place.x0), y(place.y0), x(place.x1), y(place.y1), place.label)
