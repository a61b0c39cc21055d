"""From messages to what the model reads: the one path of training, evaluation and serving."""

# T tokens  A position axes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from sightline.core.errors import PromptError
from sightline.core.geometry import MediaSize
from sightline.model.visual import VisualInput
from sightline.pictures.gateway import PictureSource, open_picture
from sightline.pictures.limits import DEFAULT_LIMITS, PictureLimits
from sightline.pictures.picture import Picture
from sightline.prompt.encode import Encoded, Span, check_context, encode
from sightline.prompt.messages import (
    DocumentPart,
    ImagePart,
    MediaPart,
    VideoPart,
    media_of,
    parse_messages,
)
from sightline.prompt.tokenizer import Tokenizer
from sightline.resolution.layout import MediaLayout, Text, VisualLayout
from sightline.resolution.policy import layout
from sightline.resolution.positions import positions
from sightline.spec.model import ModelSpec
from sightline.vision.pixels import render_all


@dataclass(frozen=True)
class Prepared:
    """A conversation ready for the model.

    Attributes:
        token_ids: ids with every placeholder written out.
        targets: per token, whether training asks for it (answer tokens).
        spans: where each media item stands in `token_ids`.
        layout: views and visual tokens, counted once.
        media: sizes of the user's pictures, in the order of the conversation.
        pixels: encoder input of every view, float32[3 · frames, height, width].
        positions: the place of each token, a list for every axis.
        notes: what was done to the pictures on the way in.
    """

    token_ids: list[int]
    targets: list[bool]
    spans: tuple[Span, ...]
    layout: VisualLayout
    media: tuple[MediaSize, ...]
    pixels: tuple[Tensor, ...]
    positions: list[list[int]]
    notes: tuple[str, ...] = ()

    @cached_property
    def visual_T(self) -> Tensor:
        """bool[T]: positions that the connector fills."""
        marks = torch.zeros(len(self.token_ids), dtype=torch.bool)
        for span in self.spans:
            item, at = self.layout.media[span.media], span.start
            for segment in item.segments:
                marks[at : at + segment.tokens] = not isinstance(segment, Text)
                at += segment.tokens
        return marks

    @cached_property
    def positions_AT(self) -> Tensor:
        """int64[A, T]: the place of each token on every axis."""
        return torch.tensor(self.positions, dtype=torch.int64)

    @property
    def visual(self) -> VisualInput:
        """What the encoder is given."""
        return VisualInput(self.layout, self.pixels)

    @property
    def visual_tokens(self) -> int:
        return self.layout.visual_tokens

    @property
    def text_tokens(self) -> int:
        return len(self.token_ids) - self.layout.visual_tokens


@dataclass(frozen=True, slots=True)
class Preparer:
    """A model's way in: its spec, its tokenizer and the limits on pictures."""

    spec: ModelSpec
    tokenizer: Tokenizer
    limits: PictureLimits = DEFAULT_LIMITS

    def __call__(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True
    ) -> Prepared:
        """Open the pictures, lay them out, render the prompt and the pixels.

        Raises PromptError, PictureError or ContextOverflow; nothing is cut to fit.
        """
        parsed = parse_messages(messages)
        pictures = [self._open(part) for part in media_of(parsed)]
        media = tuple(picture.size for picture in pictures)
        visual = layout(self.spec, media)
        encoded: Encoded = encode(
            parsed,
            self.tokenizer,
            self.spec.prompt,
            [placeholders(m) for m in visual.media],
            add_generation_prompt=add_generation_prompt,
        )
        check_context(encoded, self.spec.language.context)
        rgb = [picture.rgb for picture in pictures]
        pixels = render_all(rgb, visual, self.spec.resolution.pixels)
        notes = tuple(note for picture in pictures for note in picture.notes)
        return Prepared(
            encoded.token_ids,
            encoded.targets,
            encoded.spans,
            visual,
            media,
            pixels,
            positions(self.spec, len(encoded.token_ids)),
            notes,
        )

    def _open(self, part: MediaPart) -> Picture:
        if not isinstance(part, ImagePart):
            raise PromptError(
                "content", f"a {_kind(part)} is not read by this model", "give pictures"
            )
        return open_picture(
            cast(PictureSource, part.source), self.limits, over=self.spec.resolution.pixels.over
        )


def _kind(part: VideoPart | DocumentPart) -> str:
    return "video" if isinstance(part, VideoPart) else "document"


def placeholders(item: MediaLayout) -> list[int | None]:
    """One entry per token of a visual span: None where a visual token goes, else a text id."""
    marks: list[int | None] = []
    for segment in item.segments:
        marks += segment.ids if isinstance(segment, Text) else [None] * segment.tokens
    return marks
