"""The one count: sizes in, views and tokens out."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.errors import ContextOverflow, PictureError
from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution import fixed
from sightline.resolution.layout import Canvas, View, VisualLayout
from sightline.resolution.policy import layout
from sightline.spec import FixedSpec

sides = st.integers(1, 4000)
sizes = st.builds(MediaSize, sides, sides, st.integers(1, 4))
policies = st.builds(FixedSpec, size=st.integers(14, 700), fit=st.sampled_from(["squash", "pad"]))
crops = st.builds(
    FixedSpec,
    size=st.integers(14, 700),
    fit=st.just("crop"),
    shortest_edge=st.none() | st.integers(1, 900),
)


@pytest.mark.parametrize(("size", "tokens"), [(224, 256), (336, 576), (448, 1024), (672, 2304)])
def test_published_token_counts(size, tokens):
    laid = layout(model(FixedSpec(size=size)), [MediaSize(1344, 896)])
    [features] = laid.features()
    assert (laid.tokens, laid.visual_tokens, features.tokens) == (tokens,) * 3
    assert features.grid == Grid(size // 14, size // 14)
    assert laid.memory_tokens == 0


def test_a_kept_class_token_is_a_token():
    laid = layout(model(FixedSpec(size=224), class_token="keep"), [MediaSize(9, 9)])
    [features] = laid.features()
    assert (features.tokens, features.grid.area) == (257, 256)


@given(policies | crops, st.lists(sizes, max_size=4))
def test_every_frame_is_one_view_of_the_declared_size(policy, media):
    laid = lay_or_refuse(policy, media)
    if laid is None:
        return
    frames = [(index, frame) for index, item in enumerate(media) for frame in range(item.frames)]
    assert [(view.media, *view.frames) for view in laid.views] == frames
    assert {view.size for view in laid.views} <= {Size(policy.size, policy.size)}
    assert [features.view for features in laid.features()] == list(range(len(frames)))
    per_view = (policy.size // 14) ** 2
    assert [item.tokens for item in laid.media] == [item.frames * per_view for item in media]
    assert laid.tokens == laid.visual_tokens == len(frames) * per_view


def lay_or_refuse(policy: FixedSpec, media: list[MediaSize]) -> VisualLayout | None:
    try:
        return layout(model(policy), media)
    except PictureError as error:
        assert "would be laid out on" in error.problem
        assert any(max(m.width, m.height) / min(m.width, m.height) > 50 for m in media)
        return None


@given(policies | crops, sides, sides)
def test_the_picture_lies_in_the_middle(policy, width, height):
    view = fixed.view(policy, Size(width, height), (0,))
    assert abs(2 * view.before.x + width - view.before.size.width) <= 1
    assert abs(2 * view.before.y + height - view.before.size.height) <= 1
    assert abs(2 * view.window.x + view.resized.width - policy.size) <= 1
    assert abs(2 * view.window.y + view.resized.height - policy.size) <= 1


@given(crops, sides, sides)
def test_crop_scales_the_shortest_edge_and_keeps_the_shape(policy, width, height):
    view = fixed.view(policy, Size(width, height), (0,))
    edge = policy.shortest_edge or policy.size
    resized = view.resized
    assert min(resized.width, resized.height) == edge
    assert (
        abs(max(resized.width, resized.height) - edge * max(width, height) / min(width, height)) < 1
    )


def one(policy: FixedSpec, width: int, height: int) -> View:
    return fixed.view(policy, Size(width, height), (0,))


def test_worked_examples():
    square = Size(336, 336)
    squash = FixedSpec(size=336)
    assert one(squash, 640, 480) == View(0, Canvas(Size(640, 480)), square, Canvas(square))
    pad = FixedSpec(size=336, fit="pad")
    assert one(pad, 640, 481) == View(0, Canvas(Size(640, 640), 0, 79), square, Canvas(square))
    assert one(pad, 5, 640).before == Canvas(Size(640, 640), 317, 0)
    crop = FixedSpec(size=336, fit="crop")
    assert one(crop, 640, 480).resized == Size(448, 336)
    assert one(crop, 640, 480).window == Canvas(square, -56, 0)
    assert one(crop, 500, 333).resized == Size(504, 336)
    dinov2 = FixedSpec(size=224, fit="crop", shortest_edge=256)
    assert one(dinov2, 100, 301).resized == Size(256, 770)
    assert one(dinov2, 100, 301).window == Canvas(Size(224, 224), -16, -273)
    small = FixedSpec(size=224, fit="crop", shortest_edge=101)
    assert one(small, 101, 101).window == Canvas(Size(224, 224), 62, 62)


def test_a_conversation_without_pictures_is_empty():
    assert layout(model(FixedSpec(size=224)), []) == VisualLayout((), ())


@pytest.mark.parametrize(
    "bad", [MediaSize(0, 5), MediaSize(5, 0), MediaSize(-1, 5), MediaSize(5, 5, 0)]
)
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_media_without_pixels_are_refused(fit, bad):
    with pytest.raises(PictureError, match=r"media\[1\]: is .* at least one pixel"):
        layout(model(FixedSpec(size=224, fit=fit)), [MediaSize(4, 4), bad])


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_extreme_shapes_are_refused_where_they_would_take_gigabytes(fit):
    spec = model(FixedSpec(size=336, fit=fit))
    assert layout(spec, [MediaSize(1, 1)]).tokens == 576
    assert layout(spec, [MediaSize(1, 20)]).tokens == 576
    for media in (MediaSize(1, 20_000), MediaSize(20_000, 1)):
        with pytest.raises(PictureError, match=r"media\[0\]: of .* pixels would be laid out on"):
            layout(spec, [media])


def test_squash_takes_any_shape():
    laid = layout(model(FixedSpec(size=336)), [MediaSize(1, 20_000), MediaSize(30_000, 30_000)])
    assert laid.tokens == 2 * 576


def test_a_budget_is_kept_or_refused():
    spec, media = model(FixedSpec(size=336)), [MediaSize(8, 8)] * 3
    assert layout(spec, media, budget=1728) == layout(spec, media)
    with pytest.raises(
        ContextOverflow, match="3 items take 1728 visual tokens, the budget is 1727"
    ):
        layout(spec, media, budget=1727)


def test_layouts_need_neither_torch_nor_numpy_nor_pillow():
    code = (
        "import sys; import sightline.resolution.policy, sightline.resolution.project\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
