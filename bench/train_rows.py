"""Rows of training for both engines: ids, pictures and targets, drawn from a seed."""

# T tokens  A position axes

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from sightline.core.geometry import MediaSize
from sightline.model.visual import VisualInput
from sightline.prompt.encode import Span
from sightline.resolution.groups import Groups
from sightline.resolution.policy import layout
from sightline.spec.model import ModelSpec
from sightline.spec.resolution import FixedSpec

PAD = 0
WORDS = 10  # ids below are special


@dataclass(frozen=True)
class Row:
    """A question about pictures and its answer; the answer's tokens are targets."""

    token_ids: tuple[int, ...]
    answer: int
    image_id: int
    visual: VisualInput
    spans: tuple[Span, ...]
    groups: Groups | None = None

    @cached_property
    def visual_T(self) -> Tensor:
        """bool[T]: placeholders."""
        return torch.tensor(self.token_ids) == self.image_id

    @cached_property
    def positions_AT(self) -> Tensor:
        """int64[1, T]."""
        return torch.arange(len(self.token_ids))[None]

    @property
    def weights(self) -> list[float]:
        """What the loss of each token counts."""
        return [0.0] * (len(self.token_ids) - self.answer) + [1.0] * self.answer

    @property
    def prepared(self) -> Any:
        """Itself: it has what a batch needs of a conversation."""
        return self

    @property
    def id(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Mixture:
    """What rows look like: numbers of pictures with their weights, and tokens of text and answer,
    whose logarithms are normal around `text` and `answer` with `spread`."""

    name: str
    text: int
    answer: int
    spread: float = 0.0
    pictures: tuple[float, ...] = (0, 1)
    longest: int = 512

    def rows(self, spec: ModelSpec, seed: int) -> Iterator[Row]:
        """Endless."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield self._row(spec, generator)

    def _row(self, spec: ModelSpec, generator: torch.Generator) -> Row:
        def length(around: int) -> int:
            noise = float(torch.randn((), generator=generator)) * self.spread
            return max(4, min(self.longest, round(around * float(torch.tensor(noise).exp()))))

        weights = torch.tensor(self.pictures, dtype=torch.float)
        count = int(torch.multinomial(weights, 1, generator=generator))
        answer = length(self.answer)
        asked = max(4, length(self.text) - self.answer)
        return make_row(spec, count, asked, answer, generator)


EQUAL = Mixture("equal", text=48, answer=24)
MIXED = Mixture("mixed", text=64, answer=32, spread=0.7, pictures=(3, 4, 1))
MIXTURES = MappingProxyType({mixture.name: mixture for mixture in (EQUAL, MIXED)})


def make_row(
    spec: ModelSpec, pictures: int, asked: int, answer: int, generator: torch.Generator
) -> Row:
    """Pictures of noise first, then `asked` words, then the answer."""

    def words(count: int) -> list[int]:
        vocab = spec.prompt.image.id
        return torch.randint(WORDS, vocab, (count,), generator=generator).tolist()

    assert isinstance(spec.resolution, FixedSpec)
    side = spec.resolution.size
    laid = layout(spec, [MediaSize(side, side)] * pictures)
    pixels = tuple(
        torch.randn(3, view.size.height, view.size.width, generator=generator)
        for view in laid.views
    )
    ids: list[int] = []
    spans = []
    for number, item in enumerate(laid.media):
        spans.append(Span(len(ids), len(ids) + item.tokens, number))
        ids += [spec.prompt.image.id] * item.tokens
    ids += words(asked + answer)
    visual = VisualInput(laid, pixels)
    return Row(tuple(ids), answer, spec.prompt.image.id, visual, tuple(spans))
