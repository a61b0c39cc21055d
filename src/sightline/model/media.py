"""What the parts of a conversation show: pictures, pages, and clips that wait for their frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import ContextOverflow, PromptError
from sightline.core.geometry import MediaSize
from sightline.pictures.clips import ClipSource, open_clip, probe_clip
from sightline.pictures.gateway import PictureSource, open_picture, probe
from sightline.pictures.limits import (
    DEFAULT_CLIP_LIMITS,
    DEFAULT_DOCUMENT_LIMITS,
    DEFAULT_LIMITS,
    ClipLimits,
    DocumentLimits,
    PictureLimits,
)
from sightline.pictures.pages import DEFAULT_DPI, Page, check_density, open_pages, probe_pages
from sightline.pictures.picture import Picture
from sightline.pictures.source import DOCUMENT, EncodedSource, name_of
from sightline.prompt.clip_words import clip_words
from sightline.prompt.messages import (
    DocumentPart,
    FramesPart,
    ImagePart,
    MediaPart,
    Message,
    Part,
    TextPart,
    VideoPart,
)
from sightline.resolution.frames import sampled
from sightline.resolution.layout import VisualLayout
from sightline.resolution.policy import layout
from sightline.spec.model import ModelSpec

LEAST_DPI = 36
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What is let in, of each sort."""

    pictures: PictureLimits = DEFAULT_LIMITS
    clips: ClipLimits = DEFAULT_CLIP_LIMITS
    documents: DocumentLimits = DEFAULT_DOCUMENT_LIMITS


DEFAULT_MEDIA_LIMITS = MediaLimits()


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture or page, decoded or (a part) only measured; or a clip, of which only the header is
    read."""

    media: MediaSize
    source: Picture | ImagePart | DocumentPart | VideoPart
    notes: tuple[str, ...] = ()


def open_part(
    part: MediaPart, spec: ModelSpec, limits: MediaLimits, *, decode: bool = True
) -> tuple[Shown, ...]:
    """What a part shows, in order: one picture or clip, or the pages of a document.

    Without `decode` only headers are read, for their sizes.

    Raises PictureError, PromptError for a clip that the model does not read, ContextOverflow for
    pages that do not fit their budget.
    """
    match part:
        case ImagePart():
            return (_picture(part, spec, limits.pictures, decode),)
        case VideoPart():
            return (_clip(part, spec, limits),)
        case DocumentPart():
            return tuple(_pages(part, spec, limits.documents, decode))
        case FramesPart():
            raise PromptError("messages", "hold words of a clip", "give the clip")


def decoded(
    shown: Sequence[Shown], laid: VisualLayout, limits: MediaLimits, over: Rgb
) -> Iterator[NDArray[np.uint8]]:
    """The pixels of each item of the layout: uint8[H, W, 3], or [F, H, W, 3] of a clip."""
    for number, item in enumerate(shown):
        if isinstance(item.source, Picture):
            yield item.source.rgb
            continue
        part = item.source
        assert isinstance(part, VideoPart), "pictures and pages are decoded when they are opened"
        frames = frames_taken(laid, number)
        source = cast(ClipSource, part.source)
        clip = open_clip(source, frames, limits.clips, fps=part.fps, over=over)
        if laid.sources:
            yield from clip.rgb
        else:
            yield clip.rgb


def frames_taken(laid: VisualLayout, source: int) -> tuple[int, ...]:
    """The frames of one picture or clip that are looked at, over all its items."""
    return tuple(frame for item in items_of(laid, source) for frame in laid.frames(item))


def items_of(laid: VisualLayout, source: int) -> list[int]:
    """The items of the layout that show one picture or clip."""
    if not laid.sources:
        return [source]
    return [item for item, of in enumerate(laid.sources) if of == source]


def item_sizes(shown: Sequence[Shown], laid: VisualLayout) -> tuple[MediaSize, ...]:
    """The size of each item; a frame of a clip that is read as pictures is a clip of one frame."""
    if not laid.sources:
        return tuple(item.media for item in shown)
    sizes = [shown[source].media for source in laid.sources]
    return tuple(replace(size, frames=1, keyframes=()) if size.video else size for size in sizes)


def rewritten(
    messages: Sequence[Message],
    shown: Sequence[Sequence[Shown]],
    laid: VisualLayout,
    spec: ModelSpec,
) -> tuple[Message, ...]:
    """The messages with a picture for each page, and with the words of clips that are read as
    pictures."""
    groups = iter(shown)
    number = 0
    told: list[Message] = []
    for message in messages:
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                parts.append(part)
                continue
            group = next(groups)
            parts += [
                _told(part, item, frames_taken(laid, number + i), spec)
                for i, item in enumerate(group)
            ]
            number += len(group)
        told.append(replace(message, parts=tuple(parts)))
    return tuple(told)


def media_notes(shown: Sequence[Shown], laid: VisualLayout, spec: ModelSpec) -> Iterator[str]:
    """What was done on the way in: to pixels, and which frames of clips were left out."""
    video = spec.resolution.video
    for number, item in enumerate(shown):
        yield from item.notes
        if not item.media.video:
            continue
        if video.sampling == "fps" and item.media.fps is None:
            yield f"a clip of no known rate is taken to have {video.fps:g} frames a second"
        taken, all_ = len(frames_taken(laid, number)), item.media.frames
        if taken < all_:
            usual = len(sampled(video, item.media))
            less = f", {usual} without the budget" if taken < usual else ""
            yield f"{taken} of {all_} frames are looked at{less}"


def _told(part: MediaPart, shown: Shown, frames: Sequence[int], spec: ModelSpec) -> MediaPart:
    if not isinstance(shown.source, VideoPart):
        return ImagePart(shown.source)
    if spec.prompt.frames is None:
        return part
    return clip_words(spec.prompt.frames, spec.prompt.image.text, shown.media, frames)


def _picture(part: ImagePart, spec: ModelSpec, limits: PictureLimits, decode: bool) -> Shown:
    source = cast(PictureSource, part.source)
    if not decode:
        return Shown(probe(source, limits), part)
    picture = open_picture(source, limits, over=spec.resolution.pixels.over)
    return Shown(picture.size, picture, picture.notes)


def _clip(part: VideoPart, spec: ModelSpec, limits: MediaLimits) -> Shown:
    if spec.prompt.clip_text is None:
        raise PromptError("content", "a video is not read by this model", "give pictures")
    media = probe_clip(cast(ClipSource, part.source), limits.clips, fps=part.fps)
    return Shown(media, part)


def _pages(
    part: DocumentPart, spec: ModelSpec, limits: DocumentLimits, decode: bool
) -> Iterator[Shown]:
    source = cast(EncodedSource, part.source)
    pages = probe_pages(source, limits, first=part.first, last=part.last)
    dpi, notes = _density(part, pages, spec)
    if not decode:
        check_density(name_of(source, DOCUMENT), pages, dpi, limits)
        sizes = [page.pixels(dpi) for page in pages]
        yield from (Shown(MediaSize(size.width, size.height), part) for size in sizes)
        return
    for picture in open_pages(source, limits, dpi=dpi, first=part.first, last=part.last):
        yield Shown(picture.size, picture, (*picture.notes, *notes))
        notes = ()


def _density(
    part: DocumentPart, pages: Sequence[Page], spec: ModelSpec
) -> tuple[float, tuple[str, ...]]:
    """Dots per inch: those asked for, or the most (in steps of a tenth) that keep the budget."""
    wanted = part.dpi or DEFAULT_DPI
    if part.budget is None:
        return wanted, ()
    dpi = wanted
    while (tokens := _tokens(pages, dpi, spec)) > part.budget:
        dpi *= 0.9
        if dpi < LEAST_DPI:
            problem = f"{len(pages)} pages take {tokens} visual tokens even at {LEAST_DPI} dpi, "
            problem += f"the budget is {part.budget}"
            raise ContextOverflow("document", problem, "give fewer pages or a larger budget")
    if dpi == wanted:
        return wanted, ()
    return dpi, (f"pages drawn at {dpi:.0f} dpi to take at most {part.budget} visual tokens",)


def _tokens(pages: Sequence[Page], dpi: float, spec: ModelSpec) -> int:
    sizes = [page.pixels(dpi) for page in pages]
    return layout(spec, [MediaSize(size.width, size.height) for size in sizes]).visual_tokens
