"""What a run leaves: every answer to every item under every control."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.said import Said


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost, given and said, in the user's currency. Raises DataError."""

    input: float
    output: float

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            value: object = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise DataError(f"prices.{name}", f"is {value!r:.40}", "use a number from 0 on")


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
