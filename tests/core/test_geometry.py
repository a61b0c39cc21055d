"""Boxes, grids and sizes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.geometry import Box, Grid, MediaSize, Point, Size

PIXELS = st.floats(-4096, 4096, allow_subnormal=False)
BOXES = st.builds(Box, PIXELS, PIXELS, PIXELS, PIXELS)
ON_GRID = st.integers(0, 12)
CELLS = st.builds(Box, ON_GRID, ON_GRID, ON_GRID, ON_GRID)


@given(BOXES, BOXES)
def test_iou_is_symmetric_and_bounded(a, b):
    assert a.iou(b) == b.iou(a)
    assert 0 <= a.iou(b) <= 1


@given(BOXES)
def test_a_box_overlaps_itself_wholly_unless_it_is_empty(box):
    assert box.iou(box) == (1.0 if box.area > 0 else 0.0)


@given(CELLS, CELLS)
def test_iou_equals_a_count_of_cells(a, b):
    """Corners are exclusive at x1 and y1; a box whose corners are exchanged is empty."""

    def cells(box):
        inside = np.zeros((12, 12), dtype=bool)
        inside[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
        return inside

    both, either = (cells(a) & cells(b)).sum(), (cells(a) | cells(b)).sum()
    assert a.iou(b) == pytest.approx(both / either if either else 0.0)
    assert a.area == cells(a).sum()


@given(BOXES, BOXES, st.floats(0.01, 100), st.floats(0.01, 100))
def test_iou_does_not_depend_on_the_scale(a, b, x, y):
    scaled = a.scaled(x, y).iou(b.scaled(x, y))
    assert scaled == pytest.approx(a.iou(b), rel=1e-6, abs=1e-6)


@given(BOXES, st.floats(-4, 4), st.floats(-4, 4))
def test_scaling_moves_corners_and_centre_alike(box, x, y):
    box = dataclasses.replace(box, label="cell")
    scaled = box.scaled(x, y)
    assert (scaled.x0, scaled.y1) == (box.x0 * x, box.y1 * y) and scaled.label == "cell"
    centre = box.centre
    expected = (centre.x * x, centre.y * y)
    assert (scaled.centre.x, scaled.centre.y) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(st.integers(0, 999), st.integers(0, 999))
def test_areas_are_products(a, b):
    assert Grid(a, b).area == Size(a, b).area == a * b
    assert MediaSize(a, b).size == Size(a, b)


@pytest.mark.parametrize("value", [Grid(1, 2), Size(1, 2), MediaSize(1, 2), Point(1, 2)])
def test_geometry_is_frozen_and_hashable(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, 3)
    assert value in {value}
