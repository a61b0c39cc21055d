"""Boxes and points in what a remote model said."""

from __future__ import annotations

from dataclasses import replace

from sightline.core.geometry import Size
from sightline.eval.remote.wire import Request
from sightline.eval.said import Said
from sightline.prompt.grounding import counts_padding, read_geometry
from sightline.resolution.layout import Canvas
from sightline.resolution.project import off_surface
from sightline.spec.prompt import GroundingStyle


def placed(said: Said, made: Request, style: GroundingStyle) -> Said:
    """An answer with its geometry, in pixels of the last picture as the user gave it.

    The style `pixels` counts in pixels of the picture that was sent. Numbers of the style `shikra`
    are shares of the square that a picture is padded to, as Shikra and LLaVA pad it.
    """
    if style == "none" or made.given is None:
        return said
    below = _square(made.given) if counts_padding(style) else Canvas(made.given)
    found = read_geometry(said.text, below.size, style, frame=made.seen)
    boxes = tuple(off_surface(below, box) for box in found.boxes)
    points = tuple(off_surface(below, point) for point in found.points)
    return replace(said, boxes=boxes, points=points)


def _square(size: Size) -> Canvas:
    side = max(size.width, size.height)
    return Canvas(Size(side, side), (side - size.width) // 2, (side - size.height) // 2)
