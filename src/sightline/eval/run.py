"""Ask a model every item of a task under every control, and keep each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from sightline.core.errors import DataError
from sightline.eval.answerer import Answerer
from sightline.eval.asking import Asking as Asking
from sightline.eval.asking import batches
from sightline.eval.controls import Control
from sightline.eval.item import Item
from sightline.eval.journal import Journal
from sightline.eval.result import Prices, Result
from sightline.eval.said import Said
from sightline.eval.session import Session
from sightline.eval.tasks.task import Task


def run(
    model: Answerer,
    task: Task,
    items: Sequence[Item],
    asking: Asking | None = None,
    *,
    journal: Journal | None = None,
    prices: Prices | None = None,
    progress: Callable[[Control, int], None] = lambda control, done: None,
) -> Result:
    """All answers; those that the journal holds are not asked for again.

    Raises DataError if no question has an answer, and what Session and `conversation` raise.
    """
    asking = asking or Asking()
    session = Session(model, task, items, asking, journal or Journal(None))
    said: dict[str, dict[int, Said]] = {control.name: {} for control in asking.controls}
    for batch in batches(items, asking):
        found = session.ask(batch)
        said[batch.control.name].update(zip(batch.numbers, found, strict=True))
        progress(batch.control, len(batch.numbers))
    in_order = {name: [rows[i] for i in range(len(items))] for name, rows in said.items()}
    _some_answered(task, in_order[asking.controls[0].name])
    return Result(task.name, model.name, model.identity, task.metric, items, in_order, prices)


def _some_answered(task: Task, said: Sequence[Said]) -> None:
    if any(one.failure is None for one in said):
        return
    problem = f"has no answer to any of {len(said)} questions ({said[0].failure})"
    raise DataError(task.name, problem, "mend the reason and run it again")


def failures(said: Sequence[Said]) -> Counter[str]:
    """How many questions have no answer, by the kind of reason (what stands before the colon)."""
    return Counter(one.failure.partition(":")[0] for one in said if one.failure is not None)
