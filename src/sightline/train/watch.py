"""What is looked at now and then: held-out loss, whether the model looks, answers to questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, assert_never

import torch

from sightline.data.held_out import first_samples
from sightline.data.rows import ConversationMaker, spelled
from sightline.data.sample import Media, Sample, Turn
from sightline.model.prepare import Preparer
from sightline.model.speaker import Speaker
from sightline.model.vlm import Vlm
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.sampling import Sampling
from sightline.spec.train import PadSpec, QuestionSpec, WatchSpec
from sightline.train.losses.next_token import next_token
from sightline.train.shard import gathered_root

Control = Literal["full", "blind", "swapped"]
CONTROLS: tuple[Control, ...] = ("full", "blind", "swapped")


@dataclass(frozen=True, slots=True)
class Seen:
    """Held-out loss in nats per target token, as the rows are, without their pictures, and with
    those of other rows; and answers. None without held-out rows, or where none has a picture."""

    loss: float | None = None
    blind: float | None = None
    swapped: float | None = None
    answers: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the gaps that say how much the pictures give."""
        return asdict(self) | {
            "blind_gap": self.gap(self.blind),
            "swap_gap": self.gap(self.swapped),
        }

    def gap(self, other: float | None) -> float | None:
        """How much worse the loss is under a control."""
        return None if other is None or self.loss is None else other - self.loss

    @property
    def sentence(self) -> str:
        """For people."""
        said = [] if self.loss is None else [f"held-out loss {self.loss:.4f}"]
        if (gap := self.gap(self.blind)) is not None:
            said.append(f"{gap:+.4f} without the picture")
        if (gap := self.gap(self.swapped)) is not None:
            said.append(f"{gap:+.4f} with another")
        return ", ".join([*said, *(f"“{answer}”" for answer in self.answers)])


class Watch:
    """Looks at a model in training; draws no random number and changes nothing."""

    def __init__(self, model: Vlm, tokenizer: Tokenizer, spec: WatchSpec, folder: Path) -> None:
        self.model, self.spec, self.folder = model, spec, folder
        self.speaker = Speaker(model, tokenizer)
        self.maker = ConversationMaker(Preparer(model.spec, tokenizer))
        self.samples = self._held_out(folder)
        self._try()

    def _try(self) -> None:
        """Open everything once, so that a mistake is seen before the first step."""
        options = Sampling(max_tokens=self.spec.max_tokens)
        for asked in self.spec.questions:
            self.speaker.ready(self._messages(asked), options)
        for sample in self.samples:
            self.maker.make(sample)

    def _held_out(self, folder: Path) -> list[Sample]:
        """Places are spelled out by their own picture: a control takes that away, not the words."""
        data, spec, prepare = self.spec.data, self.spec, self.maker.prepare
        if data is None:
            return []
        samples = first_samples(data, spec.rows, self.maker, folder)
        return [replace(s, turns=spelled(s.turns, prepare)) for s in samples]

    def look(self) -> Seen:
        """Losses and answers of the model as it is now."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), gathered_root(self.model):
                losses = self._losses()
                return Seen(*losses, tuple(self._answer(q) for q in self.spec.questions))
        finally:
            self.model.train(was_training)

    def _losses(self) -> tuple[float | None, float | None, float | None]:
        if not self.samples:
            return None, None, None
        full = self._loss(self.samples)
        if not any(sample.media for sample in self.samples):
            return full, None, None
        blind, swapped = (
            self._loss([under(c, self.samples, i) for i in range(len(self.samples))])
            for c in CONTROLS[1:]
        )
        return full, blind, swapped

    def _loss(self, samples: Sequence[Sample]) -> float:
        lost = weight = 0.0
        for start in range(0, len(samples), self.spec.batch):
            rows = [self.maker.make(s) for s in samples[start : start + self.spec.batch]]
            batch = self.maker.collate(rows, PadSpec()).to(self.model.device, self.model.dtype)
            lost += next_token(self.model, batch).item()
            weight += batch.weight
        return lost / weight

    def _answer(self, asked: QuestionSpec) -> str:
        options = Sampling(max_tokens=self.spec.max_tokens)
        return self.speaker.answer(self._messages(asked), options).text

    def _messages(self, asked: QuestionSpec) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = [{"type": "text", "text": asked.question}]
        if asked.picture is not None:
            beside = self.folder / asked.picture
            path = beside if beside.is_file() else Path(asked.picture)
            content.insert(0, {"type": "image", "image": path})
        return [{"role": "user", "content": content}]


def under(control: Control, samples: Sequence[Sample], index: int) -> Sample:
    """A row under a control: as it is, without its media, or with the media of the row half the
    list away (in turn, where that has fewer; its own where that has none)."""
    sample = samples[index]
    match control:
        case "full":
            return sample
        case "blind":
            return replace(sample, turns=tuple(_without(turn) for turn in sample.turns))
        case "swapped":
            others = samples[(index + max(1, len(samples) // 2)) % len(samples)].media
            return replace(sample, turns=_with(sample.turns, others)) if others else sample
        case _:
            assert_never(control)


def _without(turn: Turn) -> Turn:
    kept = tuple(p for p in turn.parts if not isinstance(p, Media))
    return replace(turn, parts=kept)


def _with(turns: tuple[Turn, ...], others: tuple[Media, ...]) -> tuple[Turn, ...]:
    number = 0
    out = []
    for turn in turns:
        parts = list(turn.parts)
        for at, part in enumerate(parts):
            if isinstance(part, Media):
                parts[at] = others[number % len(others)]
                number += 1
        out.append(replace(turn, parts=tuple(parts)))
    return tuple(out)
