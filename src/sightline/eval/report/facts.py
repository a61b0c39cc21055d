"""What a report holds: plain data, all numbers unrounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sightline.eval.statistics import Difference, Discordant, Figure


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of the questions under one control.

    Attributes:
        items: how many were asked.
        failed: how many have no answer, by reason, the most frequent first.
        left_out: answered, but judged together with one that failed, and so not judged.
        truncated: answers that reached the limit of tokens before they ended.
        retried: further attempts of a remote model, by reason, the most frequent first.
    """

    items: int
    failed: Mapping[str, int]
    left_out: int
    truncated: int
    retried: Mapping[str, int]

    @property
    def judged(self) -> int:
        """The questions that the figures are over."""
        return self.items - sum(self.failed.values()) - self.left_out


@dataclass(frozen=True, slots=True)
class Gap:
    """What a control takes away, over the questions that have an answer both times.

    Attributes:
        full, without: the headline figure as it is, and under the control.
        difference: the first minus the second, with its interval and p.
        discordant: answers that are right only as asked, and only under the control, by McNemar;
            None where a score is neither 0 nor 1.
    """

    full: float
    without: float
    difference: Difference
    discordant: Discordant | None


@dataclass(frozen=True, slots=True)
class Majority:
    """Always giving the most frequent answer of each group, judged by the metric of the task.

    Attributes:
        value: its headline figure, over the questions that one word answers.
        model: the model's, over the same questions.
        count: how many these are.
    """

    value: float
    model: Figure
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Of a number per question: its mean and its 95th percentile."""

    mean: float
    p95: float


@dataclass(frozen=True, slots=True)
class Took:
    """What an answer took. `visual` and `kv_bytes` are None where the server does not say: it
    counts pictures as text."""

    text: Spread
    visual: Spread | None
    answer: Spread
    kv_bytes: Spread | None


@dataclass(frozen=True, slots=True)
class Cost:
    """In the currency of the prices.

    Attributes:
        item: of a question asked once, as it is.
        full: of all questions, as they are.
        total: of all questions under all controls.
    """

    item: float
    full: float
    total: float


@dataclass(frozen=True, slots=True)
class Report:
    """A task asked of a model, in figures.

    Attributes:
        task, model, identity, metric: what was asked of whom, and how it was judged.
        kinds: the skills that the task asks for, in order.
        pictures: how many pictures, clips and documents the questions show.
        asked: by control, what became of the questions. `full` is the first.
        figures: by control, all figures of the metric; the first is the headline. There are none
            where no question has an answer.
        by_kind: by control and kind, the first figure of the metric, of kinds that have answers.
        gaps: by control other than `full`, what it takes away; see `Gap`.
        majority: None where no words are right often enough for it to mean something.
        evidence: mean visual evidence, if measured, in nats per answer token.
        took: None where no question has an answer.
        cost: None without prices.
        curve: a figure at each level of a probe's dial, ascending.
        axis: what the dial is, with its unit.
        told: what the curve comes to, in words.
        sentence: how much of the headline figure comes from the picture.
        notes: what else has to be known to read the figures, in words; failures come first.
    """

    task: str
    model: str
    identity: Mapping[str, str]
    metric: str
    kinds: tuple[str, ...]
    pictures: int
    asked: Mapping[str, Asked]
    figures: Mapping[str, tuple[Figure, ...]]
    by_kind: Mapping[str, Mapping[str, Figure]]
    gaps: Mapping[str, Gap]
    majority: Majority | None
    evidence: Figure | None
    took: Took | None
    cost: Cost | None
    curve: tuple[tuple[float, Figure], ...]
    axis: str = "level"
    told: str = ""
    sentence: str = ""
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> Figure | None:
        """What the model is known by; None where no question has an answer."""
        return self.figures["full"][0] if self.figures["full"] else None
