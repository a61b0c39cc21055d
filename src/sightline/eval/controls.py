"""What a model scores when its picture is taken away (promise 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, assert_never

from sightline.eval.tasks.task import Item

Control = Literal["full", "blind", "swapped"]


def conversations(items: Sequence[Item], control: Control) -> list[list[dict[str, Any]]]:
    """One user message per item: with its picture, without any, or with the picture of the item
    half the list away (another scene, usually another kind of question)."""
    return [_message(item, _picture(items, index, control)) for index, item in enumerate(items)]


def _picture(items: Sequence[Item], index: int, control: Control) -> Any:
    match control:
        case "full":
            return items[index].picture
        case "blind":
            return None
        case "swapped":
            return items[(index + max(1, len(items) // 2)) % len(items)].picture
        case _:
            assert_never(control)


def _message(item: Item, picture: Any) -> list[dict[str, Any]]:
    text = {"type": "text", "text": item.question}
    shown = [] if picture is None else [{"type": "image", "image": picture}]
    return [{"role": "user", "content": [*shown, text]}]
