"""What a model answers, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from sightline.core.geometry import Box, Point
from sightline.model.text import Finish


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer: text and visual tokens of the prompt (these in the sequence or beside
    it, in a memory: `memory_tokens` of them), tokens of the answer."""

    text_tokens: int
    visual_tokens: int
    answer_tokens: int
    memory_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds: preparing pixels and prompt, encoding pictures, until the first token came
    (from the call), in all after that, and per token after the first."""

    prepare_ms: float
    encode_ms: float
    ttft_ms: float
    decode_ms: float
    itl_ms: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much an answer rests on the picture, in nats per answer token.

    without: mean of log p(token | all) - log p(token | no picture); grey: the same against a
    picture of the mean colour and equal size. Around 0 means that the picture was not needed.
    """

    without: float
    grey: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Boxes and points are in pixels of the picture they are about (the last one of
    the conversation); `problems` says what looked like geometry and could not be read."""

    text: str
    token_ids: tuple[int, ...]
    finish: Finish
    usage: Usage
    timings: Timings | None = None
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    evidence: Evidence | None = field(default=None)
