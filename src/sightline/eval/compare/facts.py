"""What a comparison holds: plain data, all numbers unrounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sightline.eval.report.facts import Cost, Gap, Took
from sightline.eval.statistics import Difference, Discordant, Figure


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured of a model: milliseconds to the first token, one for each answer."""

    ttft_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds to the first token: the median and the 95th percentile."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Against:
    """A model against the first.

    Attributes:
        difference: its headline figure minus the first's, over the same questions.
        holm_p: p corrected for the number of models that are compared with the first.
        discordant: answers that are right of this one only, and of the first only, by McNemar;
            None where an answer can be half right.
    """

    difference: Difference
    holm_p: float
    discordant: Discordant | None


@dataclass(frozen=True, slots=True)
class Row:
    """One model.

    Attributes:
        figures: of the metric, over the questions that every model has answered; the first is the
            headline.
        by_kind: the headline figure of each skill.
        against: None of the first model.
        blind: what is lost without the picture, if that control was run.
        failed: questions without an answer, by reason.
        took, cost, speed: None where they are not known.
    """

    model: str
    identity: Mapping[str, str]
    figures: tuple[Figure, ...]
    by_kind: Mapping[str, Figure]
    against: Against | None
    blind: Gap | None
    failed: Mapping[str, int]
    took: Took | None
    cost: Cost | None
    speed: Speed | None

    @property
    def headline(self) -> Figure:
        return self.figures[0]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One task asked of several models.

    Attributes:
        items: how many questions were asked.
        judged: how many every model has answered; all figures are over these.
        kinds: the skills that the task asks for.
        rows: the models, in the order given.
        sentences: each model against the first, in words.
        notes: what else has to be known to read the figures; what was left out comes first.
    """

    task: str
    metric: str
    items: int
    judged: int
    kinds: tuple[str, ...]
    rows: tuple[Row, ...]
    sentences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
