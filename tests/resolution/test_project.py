"""Places in pictures and in views: each the inverse of the other, and true to the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.geometry import Box, Point, Size
from sightline.resolution import fixed
from sightline.resolution.layout import Canvas, View
from sightline.resolution.project import from_view, to_view
from sightline.spec import FixedSpec, PixelSpec
from sightline.vision.pixels import render

sides = st.integers(1, 3000)
offsets = st.integers(-2000, 2000)
lengths = st.builds(Size, sides, sides)
canvases = st.builds(Canvas, lengths, offsets, offsets)
any_view = st.builds(View, st.just(0), canvases, lengths, canvases)
coordinates = st.floats(-4000, 4000)
boxes = st.builds(Box, coordinates, coordinates, coordinates, coordinates, st.none() | st.just("a"))
points = st.builds(Point, coordinates, coordinates, st.none() | st.just("b"))


def corners(place: Box | Point) -> tuple[float, ...]:
    if isinstance(place, Point):
        return place.x, place.y
    return place.x0, place.y0, place.x1, place.y1


@given(any_view, boxes | points)
def test_there_and_back(view, place):
    scale = max(
        view.before.size.width / view.resized.width, view.before.size.height / view.resized.height
    )
    back = from_view(view, to_view(view, place))
    assert corners(back) == pytest.approx(corners(place), abs=1e-9 * max(1, scale))
    assert back.label == place.label
    assert type(back) is type(place)
    again = to_view(view, from_view(view, place))
    assert corners(again) == pytest.approx(corners(place), abs=1e-9 * max(1, 1 / scale, 3000))


@given(st.sampled_from(["squash", "crop", "pad"]), sides, sides)
def test_corners_of_the_window_come_from_the_picture(fit, width, height):
    view = fixed.view(FixedSpec(size=224, fit=fit), Size(width, height), (0,))
    seen = from_view(view, Box(0, 0, 224, 224))
    if fit == "squash":
        assert corners(seen) == pytest.approx((0, 0, width, height))
    if fit == "pad":
        side = max(width, height)
        left, top = (side - width) // 2, (side - height) // 2
        assert corners(seen) == pytest.approx((-left, -top, side - left, side - top))
    if fit == "crop":
        assert min(seen.x0, seen.y0) >= -1e-9
        assert seen.x1 <= width + 1e-9 and seen.y1 <= height + 1e-9


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize(("width", "height"), [(448, 448), (896, 448), (448, 896), (300, 200)])
def test_a_drawn_box_is_seen_where_it_is_said_to_be(fit, width, height):
    box = Box(width * 0.4, height * 0.4, width * 0.6, height * 0.6)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)] = 255
    pixels = PixelSpec(resample="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    policy = FixedSpec(size=224, fit=fit, pixels=pixels)
    view = fixed.view(policy, Size(width, height), (0,))
    rows, columns = np.nonzero(render(picture, view, pixels)[0].numpy() > 0.5)
    expected = to_view(view, box)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert corners(expected) == pytest.approx(found, abs=1)
