"""The one count: media in, views and visual spans out (promise 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from sightline.core.errors import ContextOverflow, PictureError
from sightline.core.geometry import MediaSize
from sightline.resolution import fixed
from sightline.resolution.count import features
from sightline.resolution.frames import groups
from sightline.resolution.layout import Features, MediaLayout, Segment, View, VisualLayout
from sightline.spec import FixedSpec, ModelSpec

MAX_SURFACE = 2**28

Laid = tuple[tuple[View, ...], tuple[Segment, ...]]


def layout(spec: ModelSpec, media: Sequence[MediaSize], budget: int | None = None) -> VisualLayout:
    """What the media of a conversation, in order, become.

    Everything that needs to know how many visual tokens there are, where they stand and which
    pixels they come from reads the result. `budget` is the most visual tokens that all media may
    take; a policy that can adapt stays within it. Special tokens around a picture (`before` and
    `after` of its placeholder) are text: the prompt writes and counts them.

    Raises PictureError for media without pixels or frames, or so narrow that scaling needs a
    surface of over 2²⁸ pixels; ContextOverflow where the budget cannot be kept.
    """
    views: tuple[View, ...] = ()
    spans: tuple[MediaLayout, ...] = ()
    for index, item in enumerate(media):
        _check_media(index, item)
        own, segments = _lay(spec, item)
        _check_surfaces(index, item, own)
        spans += (MediaLayout(_shifted(segments, len(views))),)
        views += tuple(replace(view, media=index) for view in own)
    result = VisualLayout(views, spans)
    _check_budget(result, budget)
    return result


def _lay(spec: ModelSpec, media: MediaSize) -> Laid:
    """Views and segments of one media item, numbered from 0. A new policy is one case here."""
    frames = groups(spec.resolution.video, media, spec.vision.frames_per_view)
    match spec.resolution:
        case FixedSpec() as policy:
            views = tuple(fixed.view(policy, media.size, group) for group in frames)
            return views, tuple(features(spec, view, i, i) for i, view in enumerate(views))
        case _:
            assert_never(spec.resolution)


def _shifted(segments: tuple[Segment, ...], by: int) -> tuple[Segment, ...]:
    return tuple(
        replace(segment, view=segment.view + by) if isinstance(segment, Features) else segment
        for segment in segments
    )


def _check_media(index: int, media: MediaSize) -> None:
    if min(media.width, media.height, media.frames) < 1:
        raise PictureError(
            f"media[{index}]",
            f"is {media.width} × {media.height} pixels, {media.frames} frames",
            "give media with at least one pixel and one frame",
        )


def _check_surfaces(index: int, media: MediaSize, views: tuple[View, ...]) -> None:
    for view in views:
        largest = max(view.before.size, view.resized, key=lambda size: size.area)
        if largest.area > max(MAX_SURFACE, media.size.area):
            raise PictureError(
                f"media[{index}]",
                f"of {media.width} × {media.height} pixels would be laid out on "
                f"{largest.width} × {largest.height}",
                "cut it to a less extreme shape, or use fit: squash",
            )


def _check_budget(laid: VisualLayout, budget: int | None) -> None:
    if budget is not None and laid.visual_tokens > budget:
        raise ContextOverflow(
            "media",
            f"{len(laid.media)} items take {laid.visual_tokens} visual tokens, the budget is "
            f"{budget}",
            "give fewer or smaller ones, or a larger budget",
        )
