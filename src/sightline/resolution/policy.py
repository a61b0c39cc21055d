"""The one count: media in, views and visual spans out (promise 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from sightline.core.errors import ContextOverflow, PictureError
from sightline.core.geometry import MediaSize
from sightline.resolution import anyres, canvas, fixed, longest_edge, native, row_tiling, tiling
from sightline.resolution.clips import items, with_fewer_frames
from sightline.resolution.count import features
from sightline.resolution.frames import groups
from sightline.resolution.layout import Features, MediaLayout, Segment, Text, View, VisualLayout
from sightline.spec import (
    AnyresSpec,
    CanvasSpec,
    CrossAttentionSpec,
    FixedSpec,
    LongestEdgeSpec,
    ModelSpec,
    NativeSpec,
    RowTilingSpec,
    TilingSpec,
)

MAX_SURFACE = 2**28

Laid = tuple[tuple[View, ...], tuple[Segment, ...]]


def layout(spec: ModelSpec, media: Sequence[MediaSize], budget: int | None = None) -> VisualLayout:
    """What the media of a conversation, in order, become. A clip that the model reads as pictures
    is one item of the layout for each frame that is taken (`sources` says whose).

    Everything that needs to know how many visual tokens there are, where they stand and which
    pixels they come from reads the result. `budget` is the most visual tokens that all media may
    take; to stay within it, views of a picture's own shape have fewer pixels, then as few frames as
    needed are left out of clips. Special tokens around a picture (`before` and `after` of its
    placeholder) are text: the prompt writes and counts them.

    Raises PictureError for media without pixels or frames, or so narrow that scaling needs a
    surface of over 2²⁸ pixels; ContextOverflow where the budget cannot be kept.
    """
    laid = _laid(spec, media)
    notes: tuple[str, ...] = ()
    if budget is not None and laid.visual_tokens > budget:
        spec, notes = _smaller(spec, lambda tried: _laid(tried, media).visual_tokens <= budget)
        laid = _laid(spec, media)
    if budget is not None and laid.visual_tokens > budget and any(m.video for m in media):
        fewer = with_fewer_frames(
            spec, media, lambda tried: _laid(tried, media).visual_tokens <= budget
        )
        laid = _laid(fewer, media)
    _check_budget(laid, budget)
    return replace(laid, notes=notes)


def one_view(policy: FixedSpec, picture: MediaSize) -> VisualLayout:
    """The view of a picture for an encoder alone, which writes no tokens into a sequence.

    Raises PictureError as `layout` does.
    """
    _check_media(0, picture)
    views = (fixed.view(policy, picture.size, (0,)),)
    _check_surfaces(0, picture, views)
    return VisualLayout(views, (MediaLayout(()),))


def _smaller(
    spec: ModelSpec, fits: Callable[[ModelSpec], bool]
) -> tuple[ModelSpec, tuple[str, ...]]:
    """The spec with views of fewer pixels, as few fewer as fit, and what to say of it."""
    policy = spec.resolution
    if isinstance(policy, LongestEdgeSpec):
        shorter = longest_edge.shrunk(
            policy, lambda tried: fits(spec.model_copy(update={"resolution": tried}))
        )
        note = f"the budget lowers the longest edge from {policy.edge} to {shorter.edge}"
        notes = () if shorter == policy else (note,)
        return spec.model_copy(update={"resolution": shorter}), notes
    if not isinstance(policy, NativeSpec):
        return spec, ()
    small = native.shrunk(policy, lambda tried: fits(spec.model_copy(update={"resolution": tried})))
    if small == policy:
        return spec, ()
    note = (
        f"the budget lowers max_pixels of a picture from {policy.pictures.max_pixels} to "
        f"{small.pictures.max_pixels}"
    )
    return spec.model_copy(update={"resolution": small}), (note,)


def _laid(spec: ModelSpec, media: Sequence[MediaSize]) -> VisualLayout:
    views: tuple[View, ...] = ()
    spans: tuple[MediaLayout, ...] = ()
    for index, size in enumerate(media):
        _check_media(index, size)
    alone = sum(not size.video for size in media) == 1
    laid = tuple(items(spec, media))
    for index, item in enumerate(laid):
        own, segments = _lay(spec, item.media, alone)
        _check_surfaces(item.source, item.media, own)
        spans += (_fused(spec, item.media, _shifted(segments, len(views))),)
        views += tuple(_placed(view, index, item.frame) for view in own)
    split = any(item.frame is not None for item in laid)
    return VisualLayout(views, spans, tuple(item.source for item in laid) if split else ())


def _placed(view: View, media: int, frame: int | None) -> View:
    """A view under the number of its item, of the frame that the item is, if it is one."""
    frames = view.frames if frame is None else (frame,) * len(view.frames)
    return replace(view, media=media, frames=frames)


def _lay(spec: ModelSpec, media: MediaSize, alone: bool) -> Laid:
    """Views and segments of one media item, numbered from 0. A new policy is one case here."""
    frames = groups(spec.resolution.video, media, spec.vision.frames_per_view)
    match spec.resolution:
        case FixedSpec() as policy:
            views = tuple(fixed.view(policy, media.size, group) for group in frames)
            return views, fixed.segments(spec, policy, views)
        case AnyresSpec() as policy:
            return anyres.lay(spec, policy, media, frames, alone=alone)
        case TilingSpec() as policy:
            return tiling.lay(spec, policy, media, frames)
        case RowTilingSpec() as policy:
            return row_tiling.lay(spec, policy, media, frames)
        case NativeSpec() as policy:
            return native.lay(spec, policy, media, frames)
        case LongestEdgeSpec() as policy:
            return longest_edge.lay(spec, policy, media, frames)
        case CanvasSpec() as policy:
            views = tuple(canvas.view(policy, media.size, group) for group in frames)
            return views, tuple(features(spec, view, i, i) for i, view in enumerate(views))
        case _:
            assert_never(spec.resolution)


def _fused(spec: ModelSpec, media: MediaSize, segments: tuple[Segment, ...]) -> MediaLayout:
    """In the sequence; or, where blocks read a memory, there, with text in the sequence."""
    if not isinstance(spec.fusion, CrossAttentionSpec):
        return MediaLayout(segments)
    prompt = spec.prompt
    placeholder = prompt.video.id if media.video and prompt.video else prompt.image.id
    text = tuple(s for s in segments if isinstance(s, Text))
    memory = tuple(s for s in segments if not isinstance(s, Text))
    return MediaLayout((Text((placeholder,)), *text), memory)


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
    tokens = laid.visual_tokens + laid.memory_tokens
    if budget is not None and tokens > budget:
        raise ContextOverflow(
            "media",
            f"{len(laid.media)} items take {tokens} visual tokens, the budget is {budget}",
            "give fewer or smaller ones, or a larger budget",
        )
