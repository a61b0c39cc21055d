"""A model that speaks: from messages to answers, whole, in pieces, or many at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from sightline.core.errors import SamplingError
from sightline.model.answer import Answer, Timings, Usage
from sightline.model.beam import beam_search
from sightline.model.generate import generate
from sightline.model.prepare import Prepared, Preparer
from sightline.model.text import TextStream
from sightline.model.vlm import Vlm
from sightline.prompt.encode import check_context
from sightline.prompt.grounding import counts_padding, read_geometry, style_tokens
from sightline.prompt.tokenizer import Tokenizer
from sightline.resolution.layout import Canvas
from sightline.resolution.project import off_surface, seen_size, surface
from sightline.spec.sampling import Sampling

Messages = Sequence[Mapping[str, Any]]


class Speaker:
    """A model with its tokenizer."""

    def __init__(self, model: Vlm, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.prepare = Preparer(model.spec, tokenizer)

    def answer(self, messages: Messages, options: Sampling) -> Answer:
        """One answer; beam search where `options` ask for it."""
        if options.beams > 1:
            prepared = self.ready(messages, options)
            best = beam_search(self.model, prepared, options)[0]
            return self._spoken(prepared, list(best.token_ids), options)
        answering = Answering(self, messages, options)
        for _ in answering:
            pass
        return answering.answer

    def answer_all(self, conversations: Sequence[Messages], options: Sampling) -> list[Answer]:
        """Answers to several conversations, run as one batch, which changes none of them."""
        items = [self.ready(messages, options) for messages in conversations]
        tokens: list[list[int]] = [[] for _ in items]
        for chosen in generate(self.model, items, options):
            for row, token in enumerate(chosen):
                if token is not None:
                    tokens[row].append(token)
        return [self._spoken(i, t, options) for i, t in zip(items, tokens, strict=True)]

    def ready(self, messages: Messages, options: Sampling) -> Prepared:
        """A prompt with room for its answer. Raises ContextOverflow where there is none."""
        prepared = self.prepare(messages)
        context = self.model.spec.language.context
        check_context(prepared, context, answer_tokens=options.max_tokens)
        return prepared

    def text_stream(self, options: Sampling) -> TextStream:
        """The text of one answer, to be fed with token ids."""
        prompt = self.model.spec.prompt
        kept = (*style_tokens(prompt.grounding), *prompt.content_tokens)
        decoder = self.tokenizer.stream(keep=kept)
        return TextStream(decoder, options.stop, prompt.stop_ids)

    def finished(
        self, prepared: Prepared, tokens: list[int], text: TextStream, timings: Timings | None
    ) -> Answer:
        """The answer once its text is closed; geometry is read in the model's own style."""
        assert text.finish is not None, "close the text first"
        usage = used(prepared, len(tokens))
        said = text.text.strip()
        answer = Answer(said, tuple(tokens), text.finish, usage, timings, notes=prepared.notes)
        style = self.model.spec.prompt.grounding
        if not prepared.media or style == "none":
            return answer
        picture, last = prepared.media[-1].size, len(prepared.media) - 1
        frame = seen_size(prepared.layout, last, picture)
        below = surface(prepared.layout, last) if counts_padding(style) else Canvas(picture)
        found = read_geometry(said, below.size, style, frame=frame)
        boxes = tuple(off_surface(below, box) for box in found.boxes)
        points = tuple(off_surface(below, point) for point in found.points)
        return replace(answer, boxes=boxes, points=points, problems=found.problems)

    def _spoken(self, prepared: Prepared, tokens: list[int], options: Sampling) -> Answer:
        """The answer in `tokens`, less those that were chosen after a stop string."""
        text, said = self.text_stream(options), list[int]()
        for token in tokens:
            if text.finish is None:
                text.push(token)
                said.append(token)
        text.close()
        return self.finished(prepared, said, text, None)


def used(prepared: Prepared, answer_tokens: int) -> Usage:
    """What a prompt and so many tokens of an answer take, by the prompt's layout."""
    memory = prepared.layout.memory_tokens
    visual = prepared.visual_tokens + memory
    return Usage(prepared.text_tokens, visual, answer_tokens, memory)


class Answering:
    """One answer in progress: iterate for text; `answer` once it has ended."""

    def __init__(self, speaker: Speaker, messages: Messages, options: Sampling) -> None:
        if options.beams > 1:
            raise SamplingError("beams", "cannot stream", "use ask for beam search")
        self.speaker, self.messages, self.options = speaker, messages, options
        self._answer: Answer | None = None
        self._pieces = self._run()

    @property
    def answer(self) -> Answer:
        if self._answer is None:
            raise RuntimeError("the answer has not ended: iterate first")
        return self._answer

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def _run(self) -> Iterator[str]:
        clock = Clock()
        prepared = self.speaker.ready(self.messages, self.options)
        clock.mark("prepare")
        visual_ND = self._encode(prepared)
        clock.mark("encode")
        text, tokens = self.speaker.text_stream(self.options), []
        for (token,) in generate(self.speaker.model, [prepared], self.options, visual_ND=visual_ND):
            assert token is not None, "the only sequence is open until it ends"
            tokens.append(token)
            clock.token()
            if piece := text.push(token):
                yield piece
            if text.finish is not None:
                break
        if piece := text.close():
            yield piece
        self._answer = self.speaker.finished(prepared, tokens, text, clock.timings())

    @torch.inference_mode()
    def _encode(self, prepared: Prepared) -> Tensor | None:
        model = self.speaker.model
        if not prepared.pixels:
            return None
        return model.encode([prepared.visual.to(model.device, model.dtype)])


@dataclass(slots=True)
class Clock:
    """Times of one answer, in seconds from its start."""

    start: float = 0.0
    prepare: float = 0.0
    encode: float = 0.0
    first: float | None = None
    last: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        self.start = time.perf_counter()

    def mark(self, stage: Literal["prepare", "encode"]) -> None:
        """Note when a stage ended."""
        setattr(self, stage, time.perf_counter() - self.start)

    def token(self) -> None:
        """Note a token."""
        self.last = time.perf_counter() - self.start
        self.first = self.last if self.first is None else self.first
        self.count += 1

    def timings(self) -> Timings:
        """Durations in milliseconds."""
        first = self.first or 0.0
        decode = self.last - first
        return Timings(
            1e3 * self.prepare,
            1e3 * (self.encode - self.prepare),
            1e3 * first,
            1e3 * decode,
            1e3 * decode / max(1, self.count - 1),
        )
