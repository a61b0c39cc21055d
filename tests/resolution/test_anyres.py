"""Tiles of any resolution: what is refused, and what holds for every picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.errors import PictureError, SpecError
from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution import anyres
from sightline.resolution.layout import Features, Learned
from sightline.resolution.policy import layout
from sightline.spec import AnyresSpec, ConnectorSpec, LinearSpec, ModelSpec
from sightline.spec.resolution import ClipSpec, PoolSpec

sides = st.integers(1, 3000)
grids = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=6)


def policy(points: list[tuple[int, int]], **choices: object) -> AnyresSpec:
    return AnyresSpec(size=56, pinpoints=[(56 * h, 56 * w) for h, w in points], **choices)


@given(grids, sides, sides)
def test_tiles_cover_the_surface_and_the_picture_lies_in_its_middle(points, width, height):
    spec, picture = policy(points), Size(width, height)
    surface = anyres.pinpoint(spec, picture)
    resized = anyres.fitted(picture, surface)
    assert resized.width == surface.width or resized.height == surface.height
    assert resized.width <= surface.width and resized.height <= surface.height
    views = anyres.tiles(spec, picture, surface, (0,))
    assert sum(view.size.area for view in views) == surface.area
    first, last = views[0].window, views[-1].window
    left, top = first.x, first.y
    assert abs(2 * left + resized.width - surface.width) <= 1
    assert abs(2 * top + resized.height - surface.height) <= 1
    assert (left - last.x, top - last.y) == (surface.width - 56, surface.height - 56)


@given(grids, sides, sides, st.none() | st.integers(1, 9))
def test_the_count_is_that_of_the_segments(points, width, height, most):
    laid = layout(model(policy(points, max_tiles=most)), [MediaSize(width, height)])
    whole, *rest = laid.features()
    assert (whole.view, whole.tokens, whole.stitch) == (0, 16, None)
    for sheet in rest:
        assert sheet.stitch.tiles.area + 1 == len(laid.views)
        assert sheet.tokens == sheet.grid.rows * (sheet.grid.cols + 1)
        if most is not None:
            assert sheet.grid.area <= 1.1**2 * most * 16 + 1
    assert laid.tokens == 16 + sum(sheet.tokens for sheet in rest)


def test_tiles_one_after_the_other():
    laid = layout(model(policy([(1, 2), (2, 2)], merge="flat")), [MediaSize(640, 480)])
    assert [(f.view, f.tokens, f.stitch) for f in laid.features()] == [
        (i, 16, None) for i in range(5)
    ]
    assert model(policy([(1, 2)], merge="flat")).resolution.learned == ()


def test_views_are_numbered_across_pictures():
    laid = layout(model(policy([(1, 2), (2, 1)])), [MediaSize(90, 40), MediaSize(40, 90)])
    assert [f.view for f in laid.features()] == [0, 1, 3, 4]
    assert [view.media for view in laid.views] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("pool", "tokens"),
    [
        (None, 16),
        (PoolSpec(at="features", mode="average"), 4),
        (PoolSpec(at="features", mode="max", stride=3), 1),
        (PoolSpec(at="tokens", mode="bilinear", stride=3), 4),
    ],
)
def test_every_frame_is_pooled(pool, tokens):
    spec = model(policy([(1, 1)], clip=ClipSpec(pool=pool, newline=True)))
    [item] = layout(spec, [MediaSize(90, 40, frames=3, video=True)]).media
    *frames, end = item.segments
    assert [(f.tokens, f.time) for f in frames if isinstance(f, Features)] == [
        (tokens, i) for i in range(3)
    ]
    assert end == Learned("newline")


def test_the_sizes_of_a_pooled_grid():
    assert PoolSpec(mode="bilinear").grid(Grid(27, 27)) == Grid(14, 14)
    assert PoolSpec(mode="average").grid(Grid(27, 25)) == Grid(13, 12)


def test_a_sheet_that_cannot_be_shrunk_is_refused():
    spec = model(policy([(1, 40)], max_tiles=1))
    with pytest.raises(PictureError, match="do not hold"):
        layout(spec, [MediaSize(4000, 30)])


def kept(**choices: object) -> AnyresSpec:
    return policy([(1, 2)], **choices)


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"pinpoints": ()}, "pinpoints"),
    ({"pinpoints": ((56, 100),)}, "pinpoints"),
    ({"pinpoints": ((0, 56),)}, "pinpoints"),
    ({"merge": "flat", "max_tiles": 9}, "max_tiles"),
    ({"max_tiles": 0}, "max_tiles"),
    ({"clip": {"pool": {"stride": 1}}}, "clip.pool.stride"),
]


@pytest.mark.parametrize(("choices", "field"), REFUSED)
def test_what_contradicts_itself_is_refused(choices, field):
    with pytest.raises(SpecError) as caught:
        AnyresSpec.parse({"size": 56, "pinpoints": ((56, 112),)} | choices)
    assert caught.value.field.startswith(field)


CONNECTOR: ConnectorSpec = LinearSpec()


@pytest.mark.parametrize(
    ("choices", "field"),
    [
        ({}, "resolution.merge"),
        ({"merge": "flat", "clip": ClipSpec(pool=PoolSpec())}, "resolution.clip.pool"),
        ({"clip": ClipSpec(pool=PoolSpec(at="features"))}, "resolution.clip.pool"),
    ],
)
def test_tokens_that_form_no_grid_are_refused(choices, field):
    """A kept class token stands before the rows and columns."""
    with pytest.raises(SpecError) as caught:
        model(kept(**choices), class_token="keep", connector=CONNECTOR)
    assert caught.value.field == field


def test_tokens_that_form_no_grid_can_stand_tile_after_tile():
    spec = model(kept(merge="flat"), class_token="keep")
    assert layout(spec, [MediaSize(90, 40)]).tokens == 3 * 17


def test_it_is_written_and_read_back():
    pool = ClipSpec(fit="crop", pool=PoolSpec(at="features", mode="max", stride=3), newline=True)
    spec = model(policy([(1, 2), (3, 1)], max_tiles=4, several="pad", clip=pool))
    assert ModelSpec.from_yaml(spec.to_yaml()) == spec
