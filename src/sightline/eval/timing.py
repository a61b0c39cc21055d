"""How long it takes until the first token, asked one by one."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.eval.controls import Full, conversation
from sightline.eval.item import Item
from sightline.eval.local import LocalModel

WARM_UP = 8


def first_token_ms(model: LocalModel, items: Sequence[Item], count: int) -> list[float]:
    """Milliseconds from the question to its first token, pixels and prompt included, of up to
    `count` questions spread evenly over `items`; `WARM_UP` more are asked before, uncounted.

    Figures of one machine at one time: they belong beside a report, never into it.
    """
    if not items or count < 1:
        return []
    count = min(count, len(items))
    numbers = [place * len(items) // count for place in range(count)]
    warm_up = [numbers[place % count] for place in range(WARM_UP)]
    found = [_one(model, items, number) for number in (*warm_up, *numbers)]
    return found[WARM_UP:]


def _one(model: LocalModel, items: Sequence[Item], number: int) -> float:
    answering = model.vlm.stream(conversation(items, number, Full()), max_tokens=1)
    for _ in answering:
        pass
    timings = answering.answer.timings
    assert timings is not None, "a streamed answer is timed"
    return timings.ttft_ms
