"""Ask a model every item of a task, under every control, and keep each answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sightline.core.errors import DataError
from sightline.eval.controls import Control, conversation
from sightline.eval.tasks.task import Item, Reply, Task


class Answering(Protocol):
    """A model that answers several conversations at once."""

    def answer_all(
        self, conversations: Sequence[Sequence[Mapping[str, Any]]], **sampling: Any
    ) -> Sequence[Reply]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """One item, what was said and its score 0..1."""

    item: Item
    reply: Reply
    score: float


def run(
    model: Answering,
    task: Task,
    items: Sequence[Item],
    control: Control,
    *,
    batch: int = 32,
    max_tokens: int = 192,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Outcomes in item order; items of similar length share a batch, which changes no answer."""
    if batch < 1:
        raise DataError("batch", f"is {batch}", "use at least 1")
    order = sorted(range(len(items)), key=lambda i: (items[i].kind, len(items[i].question), i))
    outcomes: dict[int, Outcome] = {}
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        asked = [conversation(items, i, control) for i in chosen]
        replies = model.answer_all(asked, max_tokens=max_tokens)
        for i, reply in zip(chosen, replies, strict=True):
            outcomes[i] = Outcome(items[i], reply, task.score(items[i], reply))
        progress(len(chosen))
    return [outcomes[i] for i in range(len(items))]
