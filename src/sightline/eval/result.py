"""What a run leaves: every answer to every item under every control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightline.eval.item import Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.said import Said


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost, given and said, in the user's currency."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class Result:
    """A task asked of a model.

    Attributes:
        task, model: their names.
        identity: of the model (Answerer.identity).
        metric: of the task.
        items: in the order of the task.
        said: by the name of a control, answers in the order of the items. `full` is always there.
        prices: of a remote model, if the user gave them.
    """

    task: str
    model: str
    identity: Mapping[str, str]
    metric: Metric
    items: Sequence[Item]
    said: Mapping[str, Sequence[Said]]
    prices: Prices | None = None
