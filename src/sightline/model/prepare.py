"""From messages to what the model reads: the one path of training, evaluation and serving."""

# T tokens  A position axes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sightline.core.geometry import MediaSize
from sightline.model.media import (
    DEFAULT_MEDIA_LIMITS,
    MediaLimits,
    Shown,
    decoded,
    item_sizes,
    media_notes,
    open_part,
    rewritten,
)
from sightline.model.visual import VisualInput
from sightline.prompt.encode import Encoded, Span, check_context, encode
from sightline.prompt.instruction import instruction_ids
from sightline.prompt.messages import Message, media_of, parse_messages
from sightline.prompt.tokenizer import Tokenizer
from sightline.resolution.groups import Groups, groups
from sightline.resolution.layout import MediaLayout, Text, VisualLayout
from sightline.resolution.order import in_order
from sightline.resolution.policy import layout
from sightline.resolution.positions import positions
from sightline.spec.connector import QFormerSpec
from sightline.spec.model import ModelSpec
from sightline.spec.resolution import FramesSpec
from sightline.vision.pixels import render_all


@dataclass(frozen=True)
class Prepared:
    """A conversation ready for the model.

    Attributes:
        token_ids: ids with every placeholder written out.
        targets: per token, whether training asks for it (answer tokens).
        message_of: per token, the message that it belongs to; None for the template's own.
        spans: where each media item stands in `token_ids`, in order.
        layout: views and visual tokens, counted once.
        media: sizes of the user's pictures and clips, in the order of the sequence; a page is a
            picture, and a frame of a clip that is read as pictures is a clip of one frame.
        pixels: encoder input of every view, float32[3 · frames, height, width].
        positions: the place of each token, a list for every axis.
        notes: what was done to the media on the way in.
        groups: which tokens see each other in both directions; None where all is causal.
        instruction_ids: the user's words for a connector that reads them.
    """

    token_ids: list[int]
    targets: list[bool]
    message_of: list[int | None]
    spans: tuple[Span, ...]
    layout: VisualLayout
    media: tuple[MediaSize, ...]
    pixels: tuple[Tensor, ...]
    positions: list[list[int]]
    notes: tuple[str, ...] = ()
    groups: Groups | None = None
    instruction_ids: tuple[int, ...] = ()

    @cached_property
    def visual_T(self) -> Tensor:
        """bool[T]: positions that the connector fills."""
        marks = torch.zeros(len(self.token_ids), dtype=torch.bool)
        for start, stop in visual_runs(self.spans, self.layout):
            marks[start:stop] = True
        return marks

    @cached_property
    def positions_AT(self) -> Tensor:
        """int64[A, T]: the place of each token on every axis."""
        return torch.tensor(self.positions, dtype=torch.int64)

    @property
    def visual(self) -> VisualInput:
        """What the encoder is given."""
        return VisualInput(self.layout, self.pixels, self.instruction_ids)

    @property
    def visual_tokens(self) -> int:
        return self.layout.visual_tokens

    @property
    def text_tokens(self) -> int:
        return len(self.token_ids) - self.layout.visual_tokens


@dataclass(frozen=True, slots=True)
class Measured:
    """How long a conversation is: tokens of the sequence, how many of them are visual, rows of a
    visual memory beside it, and tokens that training asks for."""

    tokens: int
    visual_tokens: int
    memory_tokens: int
    target_tokens: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The media of a conversation: what each part shows, and the layout of it all."""

    parts: Sequence[Sequence[Shown]]
    layout: VisualLayout

    @property
    def shown(self) -> list[Shown]:
        """Pictures, clips and pages in order."""
        return [item for part in self.parts for item in part]


class _Read(NamedTuple):
    shown: Sequence[Shown]
    laid: VisualLayout
    encoded: Encoded
    instruction_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Preparer:
    """A model's way in: its spec, its tokenizer and the limits on media."""

    spec: ModelSpec
    tokenizer: Tokenizer
    limits: MediaLimits = DEFAULT_MEDIA_LIMITS

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        frames: FramesSpec | None = None,
        budget: int | None = None,
    ) -> Prepared:
        """Open the media, lay them out, decode the frames that are looked at, render the prompt and
        the pixels.

        `frames` says which frames of clips are taken instead of the model's own rule; `budget` is
        the most visual tokens, for which frames are left out and told of in the notes.

        Raises PromptError, PictureError or ContextOverflow; nothing is cut to fit.
        """
        spec = self.spec if frames is None else _looking_at(self.spec, frames)
        read = self._read(messages, spec, add_generation_prompt, budget, decode=True)
        shown, laid, encoded = read.shown, read.laid, read.encoded
        rgb = list(decoded(shown, laid, self.limits, spec.resolution.pixels.over))
        order = [span.media for span in encoded.spans]
        visual = in_order(laid, order)
        spans = tuple(replace(span, media=i) for i, span in enumerate(encoded.spans))
        sizes, tokens = item_sizes(shown, laid), len(encoded.token_ids)
        prompt = tokens if add_generation_prompt else prompt_tokens(encoded.targets)
        return Prepared(
            encoded.token_ids,
            encoded.targets,
            encoded.message_of,
            spans,
            visual,
            tuple(sizes[item] for item in order),
            render_all([rgb[item] for item in order], visual, spec.resolution.pixels),
            positions(spec, tokens, visual, [span.start for span in spans]),
            (*laid.notes, *media_notes(shown, laid, spec)),
            groups(spec, tokens, prompt, visual_runs(spans, visual)),
            read.instruction_ids,
        )

    def measure(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True
    ) -> Measured:
        """How long the conversation will be: laid out and tokenised as above, from the headers of
        its media, no pixel decoded. Raises as above, but for pixels that are damaged."""
        read = self._read(messages, self.spec, add_generation_prompt, None, decode=False)
        laid, targets = read.laid, read.encoded.targets
        return Measured(len(targets), laid.visual_tokens, laid.memory_tokens, sum(targets))

    def survey(self, messages: Sequence[Mapping[str, Any]]) -> Survey:
        """Only the media, from their headers: what they are and how they are laid out."""
        return self._survey(parse_messages(messages), self.spec, None, decode=False)

    def _survey(
        self, parsed: Sequence[Message], spec: ModelSpec, budget: int | None, decode: bool
    ) -> Survey:
        media = media_of(parsed)
        parts = [open_part(part, spec, self.limits, decode=decode) for part in media]
        return Survey(parts, layout(spec, [item.media for part in parts for item in part], budget))

    def _read(
        self,
        messages: Sequence[Mapping[str, Any]],
        spec: ModelSpec,
        add_generation_prompt: bool,
        budget: int | None,
        decode: bool,
    ) -> _Read:
        """What `__call__` and `measure` share."""
        parsed = parse_messages(messages)
        survey = self._survey(parsed, spec, budget, decode)
        shown, laid = survey.shown, survey.layout
        encoded = encode(
            rewritten(parsed, survey.parts, laid, spec),
            self.tokenizer,
            spec.prompt,
            [placeholders(item) for item in laid.media],
            add_generation_prompt=add_generation_prompt,
        )
        check_context(encoded, spec.language.context)
        return _Read(shown, laid, encoded, self._instruction(parsed) if shown else ())

    def _instruction(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """What the connector reads of the user's words, if it reads them."""
        connector = self.spec.connector
        if not isinstance(connector, QFormerSpec) or connector.instruction is None:
            return ()
        return instruction_ids(messages, self.tokenizer, connector.instruction)


def _looking_at(spec: ModelSpec, frames: FramesSpec) -> ModelSpec:
    resolution = spec.resolution.model_copy(update={"video": frames})
    return spec.model_copy(update={"resolution": resolution})


def prompt_tokens(targets: Sequence[bool]) -> int:
    """Tokens before the first that training asks for; all where it asks for none."""
    return targets.index(True) if True in targets else len(targets)


def visual_runs(spans: Sequence[Span], layout: VisualLayout) -> list[tuple[int, int]]:
    """Where visual tokens stand without a break inside one media item: (start, stop) each."""
    runs: list[tuple[int, int]] = []
    for span in spans:
        at = span.start
        for text, run in groupby(layout.media[span.media].segments, lambda s: isinstance(s, Text)):
            stop = at + sum(segment.tokens for segment in run)
            runs += [] if text else [(at, stop)]
            at = stop
    return runs


def placeholders(item: MediaLayout) -> list[int | None]:
    """One entry per token of a visual span: None where a visual token goes, else a text id."""
    marks: list[int | None] = []
    for segment in item.segments:
        marks += segment.ids if isinstance(segment, Text) else [None] * segment.tokens
    return marks
