"""Boxes and points written as the model reads them back: in its own style, of what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sightline.core.errors import DataError, GroundingError
from sightline.core.geometry import Box, Point, Size
from sightline.data.sample import Places
from sightline.model.media import items_of
from sightline.model.prepare import Survey
from sightline.prompt.grounding import counts_padding, write_box, write_point
from sightline.resolution.layout import Canvas
from sightline.resolution.project import on_surface, seen_size, surface
from sightline.spec.prompt import GroundingStyle


@dataclass(frozen=True, slots=True)
class PlaceWriter:
    """Writes places of the media of a conversation, which `survey` has laid out."""

    survey: Survey
    style: GroundingStyle

    def __call__(self, places: Places) -> str:
        """Raises GroundingError for places outside their picture and styles that lack them,
        DataError for those of a document, whose pages have no one size."""
        picture, item = self._of(places.media)
        laid = self.survey.layout
        frame = seen_size(laid, item, picture)
        below = surface(laid, item) if counts_padding(self.style) else Canvas(picture)
        x, y = _scale(places, picture)
        boxes = [box.scaled(x, y) for box in places.boxes]
        points = [Point(p.x * x, p.y * y, p.label) for p in places.points]
        _check_inside(boxes, points, picture)
        said = [
            *(write_box(on_surface(below, b), below.size, self.style, frame=frame) for b in boxes),
            *(write_point(on_surface(below, p), below.size, self.style, frame=frame)
              for p in points),
        ]  # fmt: skip
        return (" ; " if self.style == "paligemma" else ", ").join(said)

    def _of(self, media: int) -> tuple[Size, int]:
        """The size of one media part, and the first of its items in the layout."""
        parts = self.survey.parts
        if not 0 <= media < len(parts):
            problem = f"are of picture {media}, the row has {len(parts)}"
            raise DataError("places", problem, "name one of its pictures, from 0")
        if len(parts[media]) != 1:
            fix = "give the pages as pictures"
            raise DataError("places", "are of a document, whose pages have no one size", fix)
        number = sum(len(part) for part in parts[:media])
        return parts[media][0].media.size, items_of(self.survey.layout, number)[0]


def _scale(places: Places, picture: Size) -> tuple[float, float]:
    match places.unit:
        case "pixel":
            return 1.0, 1.0
        case "share":
            return float(picture.width), float(picture.height)
        case "thousandth":
            return picture.width / 1000, picture.height / 1000
        case _:
            assert_never(places.unit)


def _check_inside(boxes: list[Box], points: list[Point], picture: Size) -> None:
    corners = [(box.x0, box.y0) for box in boxes] + [(box.x1, box.y1) for box in boxes]
    for x, y in (*corners, *((point.x, point.y) for point in points)):
        if not (0 <= x <= picture.width and 0 <= y <= picture.height):
            problem = f"({x:g}, {y:g}) is outside the picture of {picture.width} × {picture.height}"
            raise GroundingError("places", problem, "give places in it, and name their unit")
