"""Rows of tiles: which views, in which order, with which tags."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.errors import ContextOverflow, SpecError
from sightline.core.geometry import Box, Grid, MediaSize, Size
from sightline.planner.context import at_side, standard_picture
from sightline.resolution.layout import Features, Text, VisualLayout
from sightline.resolution.policy import layout
from sightline.resolution.project import from_view, to_view
from sightline.resolution.row_tiling import longest_edge, tiles
from sightline.spec import FixedSpec, ModelSpec, RowTagsSpec, RowTilingSpec

TILE, EDGE = 28, 112
TAGS = RowTagsSpec(
    around=(290,),
    whole=(291,),
    places=tuple(tuple((270 + 4 * row + col,) for col in range(4)) for row in range(4)),
    row_end=(292,),
    last_row_end=(293,),
)
SIDES = st.integers(1, 4000)
EDGES = st.integers(1, 300)


def sees(**changes: Any) -> ModelSpec:
    policy = RowTilingSpec(**{"tile": TILE, "edge": EDGE} | changes)
    return model(FixedSpec(size=TILE)).model_copy(update={"resolution": policy})


def laid(spec: ModelSpec, width: int, height: int, frames: int = 1) -> VisualLayout:
    return layout(spec, [MediaSize(width, height, frames, video=frames > 1)])


@pytest.mark.parametrize(
    ("size", "sheet"),
    [((640, 480), Grid(3, 4)), ((480, 640), Grid(4, 3)), ((100, 100), Grid(4, 4)),
     ((6000, 1), Grid(1, 4)), ((1, 6000), Grid(4, 1))],
)  # fmt: skip
def test_sheets_of_pictures(size: tuple[int, int], sheet: Grid) -> None:
    policy = RowTilingSpec(tile=364, edge=1456)
    assert tiles(policy, Size(*size)) == sheet


def test_the_shorter_side_is_even_and_never_gone() -> None:
    assert longest_edge(Size(100, 33), 100) == Size(100, 34)
    assert longest_edge(Size(33, 100), 100) == Size(34, 100)
    assert longest_edge(Size(6000, 1), 100) == Size(100, 1)
    assert longest_edge(Size(50, 50), 101) == Size(101, 102)


@given(SIDES, SIDES, EDGES)
def test_tiles_in_rows_and_the_whole_picture_last(width: int, height: int, edge: int) -> None:
    spec = sees(edge=edge)
    views = laid(spec, width, height).views
    sheet = tiles(spec.resolution, Size(width, height))
    assert len(views) == sheet.area + 1
    corners = [(-view.window.x // TILE, -view.window.y // TILE) for view in views[:-1]]
    assert corners == [(x, y) for y in range(sheet.rows) for x in range(sheet.cols)]
    assert {view.resized for view in views[:-1]} <= {Size(TILE * sheet.cols, TILE * sheet.rows)}
    assert (views[-1].resized, views[-1].window.x, views[-1].window.y) == (Size(TILE, TILE), 0, 0)
    assert max(sheet.rows, sheet.cols) <= spec.resolution.most_tiles


@given(SIDES, SIDES, st.floats(0, 1), st.floats(0, 1))
def test_places_survive_every_view(width: int, height: int, across: float, down: float) -> None:
    x, y = across * width, down * height
    for view in laid(sees(), width, height).views:
        back = from_view(view, to_view(view, Box(0, 0, x, y)))
        assert (back.x1, back.y1) == (pytest.approx(x), pytest.approx(y))


def test_tags_around_the_views() -> None:
    found = laid(sees(tags=TAGS), 90, 60).media[0].segments
    ids = [segment.ids for segment in found if isinstance(segment, Text)]
    rows = [[(290, 270 + 4 * row + col) for col in range(4)] for row in range(3)]
    assert ids == [*rows[0], (292,), *rows[1], (292,), *rows[2], (293,), (290, 291), (290,)]
    assert [s.view for s in found if isinstance(s, Features)] == list(range(13))


def test_a_picture_of_one_tile_has_only_the_tag_of_the_whole() -> None:
    for spec in (sees(tags=TAGS, edge=TILE), sees(tags=TAGS, split=False)):
        segments = laid(spec, 30, 30).media[0].segments
        assert [s.ids for s in segments if isinstance(s, Text)] == [(290, 291), (290,)]


def test_each_frame_of_a_clip_is_seen_whole() -> None:
    found = laid(sees(tags=TAGS, clip_edge=56), 640, 480, frames=3)
    assert [view.frames for view in found.views] == [(0,), (1,), (2,)]
    assert {view.steps for view in found.views} == {(Size(56, 42),)}
    assert [f.time for f in found.features()] == [0, 1, 2]
    assert found.tokens == 3 * (4 + 3)


def test_a_budget_is_kept_or_refused() -> None:
    with pytest.raises(ContextOverflow, match="budget is 10"):
        layout(sees(), [MediaSize(640, 480)], budget=10)


def test_the_planner_knows_it() -> None:
    spec = sees(tags=TAGS)
    assert standard_picture(spec) == MediaSize(EDGE, EDGE)
    for side in (1, TILE, 2 * EDGE + 1):
        seen, picture = at_side(spec, side)
        assert layout(seen, [picture]).views[0].steps == (longest_edge(Size(side, side), side),)


def test_tags_for_fewer_tiles_than_there_are_and_huge_edges_are_refused() -> None:
    with pytest.raises(SpecError, match="5 × 5"):
        RowTilingSpec(tile=TILE, edge=EDGE + 1, tags=TAGS)
    RowTilingSpec(tile=TILE, edge=EDGE + 1, tags=TAGS, split=False)
    with pytest.raises(SpecError, match="edge"):
        RowTilingSpec(tile=TILE, edge=4097)
    with pytest.raises(SpecError, match="around"):
        RowTagsSpec(**TAGS.model_dump() | {"around": (-1,)})
