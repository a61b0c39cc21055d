"""Sheets of tiles: which sheet, in which order, of which pixels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.errors import ContextOverflow, SpecError
from sightline.core.geometry import Box, Grid, MediaSize, Size
from sightline.planner.context import at_side, standard_picture
from sightline.resolution.layout import VisualLayout
from sightline.resolution.policy import layout
from sightline.resolution.project import from_view, to_view
from sightline.resolution.tiling import best_sheet, sheets
from sightline.spec import FixedSpec, ModelSpec, PixelShuffleSpec, TilingSpec

TILE = 56
SIDES = st.integers(1, 4000)


def tiled(connector: PixelShuffleSpec | None = None, **changes: object) -> ModelSpec:
    policy = TilingSpec(tile=TILE, **changes)
    return model(FixedSpec(size=TILE), connector=connector).model_copy(
        update={"resolution": policy}
    )


def laid(spec: ModelSpec, width: int, height: int, frames: int = 1) -> VisualLayout:
    return layout(spec, [MediaSize(width, height, frames, video=frames > 1)])


@pytest.mark.parametrize(
    ("size", "sheet"),
    [
        ((640, 480), Grid(3, 4)),
        ((480, 640), Grid(4, 3)),
        ((100, 100), Grid(1, 1)),
        ((1000, 1000), Grid(3, 3)),
        ((9, 1), Grid(1, 9)),
        ((1, 100), Grid(15, 1)),
        ((1000, 600), Grid(3, 5)),
    ],
)
def test_sheets_of_pictures(size, sheet):
    assert best_sheet(TilingSpec(tile=448, max_tiles=15), Size(*size)) == sheet


def test_a_tie_goes_to_the_larger_sheet_that_enlarges_at_most_twice():
    policy = TilingSpec(tile=448)
    side = 448 * 2**0.5  # 2 × 2 tiles of 448 have twice this area
    assert best_sheet(policy, Size(int(side), int(side))) == Grid(1, 1)
    assert best_sheet(policy, Size(int(side) + 1, int(side) + 1)) == Grid(2, 2)


@given(SIDES, SIDES, st.integers(1, 12), st.booleans())
def test_the_views_cover_the_picture_once_and_the_thumbnail_comes_last(width, height, most, thumb):
    spec = tiled(max_tiles=most, thumbnail=thumb)
    views = laid(spec, width, height).views
    sheet = best_sheet(spec.resolution, Size(width, height))
    tiles = views[: sheet.area]
    assert len(views) == sheet.area + (thumb and sheet.area > 1)
    assert {view.resized for view in tiles} == {Size(TILE * sheet.cols, TILE * sheet.rows)}
    corners = [(-view.window.x // TILE, -view.window.y // TILE) for view in tiles]
    assert corners == [(x, y) for y in range(sheet.rows) for x in range(sheet.cols)]
    for view in views[sheet.area :]:
        assert (view.resized, view.window.x, view.window.y) == (Size(TILE, TILE), 0, 0)


@given(SIDES, SIDES, st.floats(0, 1), st.floats(0, 1))
def test_places_survive_every_view(width, height, across, down):
    x, y = across * width, down * height
    box = Box(0, 0, x, y)
    for view in laid(tiled(), width, height).views:
        back = from_view(view, to_view(view, box))
        assert (back.x1, back.y1) == (pytest.approx(x), pytest.approx(y))


def test_each_frame_of_a_clip_is_one_tile():
    found = laid(tiled(), 640, 480, frames=3)
    assert [view.frames for view in found.views] == [(0,), (1,), (2,)]
    assert found.tokens == 3 * 16
    assert [f.time for f in found.features()] == [0, 1, 2]


def test_tokens_are_those_of_the_connector():
    spec = tiled(connector=PixelShuffleSpec(side=2))
    found = laid(spec, 640, 480)
    assert found.tokens == 13 * 4
    assert {f.grid for f in found.features()} == {Grid(2, 2)}
    assert [f.view for f in found.features()] == list(range(13))


def test_a_budget_is_kept_or_refused():
    with pytest.raises(ContextOverflow, match="budget is 100"):
        layout(tiled(), [MediaSize(640, 480)], budget=100)


def test_sheets_come_by_area():
    found = sheets(1, 12)
    assert len(found) == len({*found}) == 35
    assert [s.area for s in found] == sorted(s.area for s in found)
    assert found[:3] == [Grid(1, 1), Grid(2, 1), Grid(1, 2)]
    assert all(3 <= s.area <= 4 for s in sheets(3, 4))


def test_reversed_limits_are_refused():
    with pytest.raises(SpecError, match="max_tiles"):
        TilingSpec(tile=448, min_tiles=4, max_tiles=3)


def test_the_planner_knows_the_picture_it_was_made_for():
    assert standard_picture(tiled()) == MediaSize(4 * TILE, 3 * TILE)
    seen, picture = at_side(tiled(), 100)
    assert len(layout(seen, [picture]).views) == 5
