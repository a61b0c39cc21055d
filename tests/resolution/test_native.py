"""Views at the picture's own shape: sizes, time, and a budget."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.errors import ContextOverflow, PictureError, SpecError
from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution.layout import Features, Text
from sightline.resolution.native import view_size
from sightline.resolution.policy import layout
from sightline.resolution.positions import positions
from sightline.spec import MergerSpec, ModelSpec, NativeSpec
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.language import RopeSpec
from sightline.spec.resolution import FramesSpec, PixelRange, TimestampSpec

SQUARE = 28**2
PICTURES = PixelRange(min_pixels=4 * SQUARE, max_pixels=1280 * SQUARE)
STAMPS = TimestampSpec(
    digits=tuple(range(10)), point=(10,), open=(11,), close=(12,), start=(13,), end=(14,)
)


def native(**changes: object) -> NativeSpec:
    return NativeSpec(**({"multiple": 28, "pictures": PICTURES} | changes))


def seeing(policy: NativeSpec, frames: int = 2) -> ModelSpec:
    return model(policy, connector=MergerSpec(), frames_per_view=frames)


def clip(frames: int, fps: float | None = 2.0, width: int = 56, height: int = 84) -> MediaSize:
    return MediaSize(width, height, frames, fps, video=True)


@pytest.mark.parametrize(
    ("picture", "view"),
    [
        ((640, 480), (644, 476)),
        ((42, 42), (56, 56)),  # 1.5 multiples round to even: 2
        ((70, 70), (56, 56)),  # 2.5 too
        ((1, 1), (56, 56)),
        ((4000, 3000), (1148, 840)),
        ((28, 5600), (28, 5600)),
    ],
)
def test_known_sizes(picture: tuple[int, int], view: tuple[int, int]) -> None:
    assert view_size(native(), MediaSize(*picture), 1) == Size(*view)


sides = st.integers(1, 6000)


@settings(max_examples=300)
@given(sides, sides, st.sampled_from([14, 28, 32]))
def test_views_are_whole_multiples_inside_the_range(width: int, height: int, multiple: int) -> None:
    policy = native(multiple=multiple)
    if max(width, height) > 200 * min(width, height):
        with pytest.raises(PictureError, match="200 times"):
            view_size(policy, MediaSize(width, height), 1)
        return
    size = view_size(policy, MediaSize(width, height), 1)
    assert size.width % multiple == size.height % multiple == 0
    assert size.area >= PICTURES.min_pixels
    narrow = min(size.width, size.height) == multiple
    assert size.area <= PICTURES.max_pixels or narrow


def test_two_frames_share_a_view_and_time_counts_them() -> None:
    laid = layout(seeing(native()), [clip(5), MediaSize(56, 56)])
    assert [view.frames for view in laid.views] == [(0, 1), (2, 3), (4, 4), (0, 0)]
    [runs, [still]] = [item.segments for item in laid.media]
    assert [run.time for run in runs] == [0, 1, 2] and still.time == 0
    assert all(run.grid == Grid(3, 2) and run.tokens == 6 for run in runs)


@pytest.mark.parametrize(
    ("fps", "speed", "times"),
    [(2.0, 2.0, [0, 2, 4, 6]), (3.0, 2.0, [0, 1, 2, 4]), (None, 24.0, [0, 2, 4, 6])],
)
def test_time_in_tokens_a_second(fps: float | None, speed: float, times: list[int]) -> None:
    """A clip that says nothing has 24 frames a second."""
    laid = layout(seeing(native(tokens_per_second=speed)), [clip(8, fps)])
    assert [run.time for run in laid.features()] == times


def test_sampled_frames_keep_their_time() -> None:
    every_other = FramesSpec(sampling="uniform", count=4)
    policy = native(tokens_per_second=2.0, video=every_other)
    laid = layout(seeing(policy), [clip(8, 2.0)])
    assert [view.frames for view in laid.views] == [(0, 2), (4, 6)]
    assert [run.time for run in laid.features()] == [0, 4]


def test_times_as_text_between_marks() -> None:
    [item] = layout(seeing(native(timestamps=STAMPS)), [clip(4, 0.3)]).media
    texts = [segment.ids for segment in item.segments if isinstance(segment, Text)]
    # frames 0 and 1: (0 + 3.33) / 2 = 1.7 s; frames 2 and 3: (6.67 + 10) / 2 = 8.3 s
    assert texts == [(11, 1, 10, 7, 12, 13), (14,), (11, 8, 10, 3, 12, 13), (14,)]
    assert item.visual_tokens == item.tokens - 14


def test_a_picture_has_no_time() -> None:
    [item] = layout(seeing(native(timestamps=STAMPS)), [MediaSize(56, 56)]).media
    assert [type(segment) for segment in item.segments] == [Features]


def test_a_clip_may_have_one_budget_for_all_its_frames() -> None:
    whole = PixelRange(min_pixels=SQUARE, max_pixels=24 * SQUARE, of="clip")
    policy = native(clips=whole)
    assert view_size(policy, clip(4, width=200, height=200), 4) == Size(56, 56)
    assert view_size(policy, clip(6, width=200, height=200), 6) == Size(56, 56)
    assert view_size(policy, clip(20, width=200, height=200), 20) == Size(28, 28)
    with pytest.raises(PictureError, match="one frame"):
        view_size(policy, clip(1), 1)


BUDGETS = st.lists(st.builds(MediaSize, st.integers(50, 900), st.integers(50, 900)), min_size=1,
                   max_size=3)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(BUDGETS, st.integers(1, 900))
def test_a_budget_is_kept_said_and_used(media: list[MediaSize], budget: int) -> None:
    spec = seeing(native())
    free = layout(spec, media)
    try:
        laid = layout(spec, media, budget)
    except ContextOverflow:
        assert budget < 4 * 4 * len(media) or free.visual_tokens > budget
        return
    assert laid.visual_tokens <= budget
    assert bool(laid.notes) == (free.visual_tokens > budget)
    assert (laid.views == free.views) == (not laid.notes)


def test_a_budget_takes_no_more_than_it_must() -> None:
    spec = seeing(native())
    one = [MediaSize(1120, 1120)]
    assert layout(spec, one).visual_tokens == 1225  # 35², 1120² is below max_pixels
    laid = layout(spec, one, 1200)
    assert laid.visual_tokens == 34**2
    assert laid.notes == (
        f"the budget lowers max_pixels of a picture from {1280 * SQUARE} to {35**2 * SQUARE - 1}",
    )


def grid_spec(policy: NativeSpec) -> ModelSpec:
    spec = seeing(policy)
    rope = {"positions": RopeSpec(sections=(1, 1, 0))}
    return spec.model_copy(
        update={
            "fusion": InterleaveSpec(positions="grid"),
            "language": spec.language.model_copy(update=rope),
        }
    )


def test_text_goes_on_beyond_the_largest_place() -> None:
    """Two words, a picture of 2 × 3, a word, a clip of 4 views of 1 × 1, a word."""
    policy = native(pictures=PixelRange(min_pixels=SQUARE, max_pixels=20 * SQUARE))
    spec = grid_spec(policy)
    laid = layout(spec, [MediaSize(84, 56), clip(8, 2.0, 28, 28)])
    places = positions(spec, 2 + 6 + 1 + 4 + 1, laid, [2, 9])
    assert places == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 7, 8, 9, 10],
        [0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 6, 6, 6, 10],
        [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 6, 6, 6, 10],
    ]


def test_media_in_another_order_of_the_sequence() -> None:
    spec = grid_spec(native(pictures=PixelRange(min_pixels=SQUARE, max_pixels=20 * SQUARE)))
    laid = layout(spec, [MediaSize(28, 28), MediaSize(84, 28)])
    assert positions(spec, 4, laid, [3, 0])[2] == [0, 1, 2, 3]


def test_each_stamped_view_begins_anew() -> None:
    spec = grid_spec(native(clips=PixelRange(min_pixels=SQUARE, max_pixels=4 * SQUARE),
                            timestamps=STAMPS))  # fmt: skip
    laid = layout(spec, [clip(4, 2.0, 56, 28)])
    time, row, col = positions(spec, laid.tokens, laid, [0])
    assert time == row
    assert col == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]


def test_no_tokens_have_no_positions() -> None:
    spec = grid_spec(native())
    assert positions(spec, 0, layout(spec, []), []) == [[], [], []]


REFUSED = {
    "multiple of no patch": ({"multiple": 20}, "no multiple of the patch"),
    "multiple of one patch": ({"multiple": 14}, "does not divide"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_parts_that_cannot_meet_are_refused(change: str) -> None:
    values, words = REFUSED[change]
    with pytest.raises(SpecError, match=words):
        seeing(native(**values))


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(SpecError, match="below min_pixels"):
        PixelRange(min_pixels=10, max_pixels=9)
    with pytest.raises(SpecError, match="no meaning for pictures"):
        native(pictures=PixelRange(min_pixels=1, max_pixels=9, of="clip"))


def test_places_on_three_axes_need_sections() -> None:
    with pytest.raises(SpecError, match="three axes"):
        model(native(), connector=MergerSpec(), fusion=InterleaveSpec(positions="grid"))
