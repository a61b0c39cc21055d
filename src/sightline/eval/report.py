"""Figures of a run, in a table, as JSON and in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sightline.eval.controls import Control
from sightline.eval.run import Outcome
from sightline.eval.statistics import majority, mean_interval
from sightline.eval.tasks.task import normalised

OPEN_KINDS = frozenset({"locate", "caption", "dense"})  # no majority answer is meaningful


@dataclass(frozen=True, slots=True)
class Figure:
    """Mean score with its 95 % interval, all 0..1, over `count` items."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """Scores under each control: in all, by kind, and over the questions answered by a word.

    `majority` is the accuracy of each template's most frequent answer, over those questions.
    """

    task: str
    overall: Mapping[Control, Figure]
    by_kind: Mapping[Control, Mapping[str, Figure]]
    closed: Mapping[Control, Figure]
    majority: float

    @property
    def sentence(self) -> str:
        """How much of the score comes from the picture."""
        full = 100 * self.overall["full"].mean
        if "blind" not in self.overall:
            return f"{full:.1f} points; run the controls to know how much the picture gives."
        given = full - 100 * self.overall["blind"].mean
        return f"{given:.1f} points of {full:.1f} come from the picture."

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "sentence": self.sentence}


def report(task: str, outcomes: Mapping[Control, Sequence[Outcome]]) -> Report:
    """Aggregate the outcomes of each control; the same items in each."""
    kinds = sorted({o.item.kind for o in outcomes["full"]})
    closed = {c: [o for o in rows if o.item.kind not in OPEN_KINDS] for c, rows in outcomes.items()}
    items = [o.item for o in closed["full"]]
    return Report(
        task,
        {control: _figure(rows) for control, rows in outcomes.items()},
        {
            control: {kind: _figure([o for o in rows if o.item.kind == kind]) for kind in kinds}
            for control, rows in outcomes.items()
        },
        {control: _figure(rows) for control, rows in closed.items()} if items else {},
        majority([i.group for i in items], [normalised(i.answer) for i in items]) if items else 0.0,
    )


def _figure(outcomes: Sequence[Outcome]) -> Figure:
    return Figure(*mean_interval([o.score for o in outcomes]), len(outcomes))
