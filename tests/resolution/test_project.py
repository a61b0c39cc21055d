"""Places in pictures and in views: each the inverse of the other, and true to the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.geometry import Box, MediaSize, Point, Size
from sightline.prompt.grounding import read_geometry, write_box
from sightline.resolution import fixed
from sightline.resolution.layout import Canvas, View
from sightline.resolution.policy import layout
from sightline.resolution.project import from_view, seen_size, shown, to_view, views_of
from sightline.spec import (
    AnyresSpec,
    CanvasSpec,
    FixedSpec,
    LongestEdgeSpec,
    NativeSpec,
    PixelSpec,
    ResolutionSpec,
    TilingSpec,
)
from sightline.spec.resolution import PixelRange
from sightline.vision.pixels import render, render_all

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


PIXELS = PixelSpec(resample="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
POLICIES: dict[str, ResolutionSpec] = {
    "squash": FixedSpec(size=56, pixels=PIXELS),
    "pad": FixedSpec(size=56, fit="pad", pixels=PIXELS),
    "tiling": TilingSpec(tile=56, max_tiles=6, pixels=PIXELS),
    "anyres": AnyresSpec(
        size=56, pinpoints=((56, 112), (112, 56), (112, 112), (168, 56)), pixels=PIXELS
    ),
    "canvas": CanvasSpec(size=56, tiles=4, pixels=PIXELS),
    "native": NativeSpec(
        multiple=14, pictures=PixelRange(min_pixels=784, max_pixels=30_000), pixels=PIXELS
    ),
    "longest_edge": LongestEdgeSpec(edge=112, multiple=14, pixels=PIXELS),
}
SPECS = {name: model(policy) for name, policy in POLICIES.items()}
shapes = st.tuples(st.integers(20, 400), st.integers(20, 400)).filter(
    lambda s: 0.2 < s[0] / s[1] < 5
)


def laid_out(name: str, width: int, height: int):
    return layout(SPECS[name], [MediaSize(9, 9), MediaSize(width, height)])


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=40)
@given(shape=shapes, x=st.floats(0.001, 0.999), y=st.floats(0.001, 0.999))
def test_every_place_of_the_picture_is_shown_and_comes_back(name, shape, x, y):
    laid = laid_out(name, *shape)
    point = Point(x * shape[0], y * shape[1])
    found = views_of(laid, 1, point)
    assert found
    for number, there in found:
        view = laid.views[number]
        assert view.media == 1
        assert corners(from_view(view, there)) == pytest.approx(corners(point), abs=1e-6)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=40)
@given(shape=shapes, where=st.tuples(*[st.floats(0, 1)] * 4))
def test_tiles_show_a_box_once_and_in_all(name, shape, where):
    """What all views show of a box has, brought back, its area: once for the tiles, and once more
    for the view that shows the whole picture, which shows its middle again."""
    width, height = shape
    (x0, x1), (y0, y1) = sorted(where[:2]), sorted(where[2:])
    box = Box(x0 * width, y0 * height, x1 * width, y1 * height)
    laid = laid_out(name, width, height)
    area = 0.0
    for number, there in views_of(laid, 1, box):
        back = from_view(laid.views[number], there)
        assert box.x0 - 1e-6 <= back.x0 and back.x1 <= box.x1 + 1e-6
        area += back.area
    times = len(views_of(laid, 1, Point(width / 2, height / 2)))
    assert area == pytest.approx(times * box.area, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("width", "height"), [(112, 112), (224, 112), (112, 224), (168, 56)])
def test_a_drawn_box_is_seen_in_every_view_that_says_so(name, width, height):
    box = Box(round(width * 0.3), round(height * 0.3), round(width * 0.8), round(height * 0.8))
    picture = np.zeros((height, width, 3), np.uint8)
    picture[box.y0 : box.y1, box.x0 : box.x1] = 255
    laid = laid_out(name, width, height)
    drawn = render_all([np.zeros((9, 9, 3), np.uint8), picture], laid, PIXELS)
    told = dict(views_of(laid, 1, box))
    for number, (view, pixels) in enumerate(zip(laid.views, drawn, strict=True)):
        rows, columns = np.nonzero(pixels[0].numpy() > 0.5)
        if view.media == 0 or number not in told:
            assert not rows.size
            continue
        expected = corners(told[number])
        if min(expected[2] - expected[0], expected[3] - expected[1]) < 3:
            continue  # a sliver of a neighbouring tile, thinner than the resampling
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert expected == pytest.approx(found, abs=1.5)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=40)
@given(shape=shapes, where=st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_in_pixels_of_what_is_seen_come_back(name, shape, where):
    width, height = shape
    (x0, x1), (y0, y1) = sorted(where[:2]), sorted(where[2:])
    box = Box(x0 * width, y0 * height, x1 * width, y1 * height)
    laid, size = laid_out(name, width, height), Size(width, height)
    frame = seen_size(laid, 1, size)
    text = write_box(box, size, "pixels", frame=frame)
    [back] = read_geometry(text, size, "pixels", frame=frame).boxes
    for side, seen, ends in ((width, frame.width, "x0 x1"), (height, frame.height, "y0 y1")):
        for end in ends.split():
            assert abs(getattr(back, end) - getattr(box, end)) <= 0.5 * side / seen + 1e-6


def test_worked_examples_of_what_is_seen():
    assert seen_size(laid_out("native", 100, 50), 1, Size(100, 50)) == Size(98, 56)
    assert seen_size(laid_out("squash", 100, 50), 1, Size(100, 50)) == Size(56, 56)
    assert seen_size(laid_out("pad", 100, 50), 1, Size(100, 50)) == Size(56, 28)
    assert seen_size(laid_out("tiling", 200, 100), 1, Size(200, 100)) == Size(112, 56)
    assert seen_size(laid_out("canvas", 100, 50), 1, Size(100, 50)) == Size(100, 50)
    outside = View(0, Canvas(Size(8, 8)), Size(8, 8), Canvas(Size(4, 4), -4, -4))
    assert shown(outside, Box(0, 0, 4, 4)) is None and shown(outside, Point(3.9, 5)) is None
    assert shown(outside, Box(2, 2, 6, 8, "a")) == Box(0, 0, 2, 4, "a")
