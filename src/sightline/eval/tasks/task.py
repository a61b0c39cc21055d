"""What a task is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.core.geometry import Box


@dataclass(frozen=True, slots=True)
class Item:
    """One question about one picture uint8[H, W, 3].

    `group` is the unit in which a majority answer is meaningful (a question template);
    `boxes` is geometry that belongs to the answer, in pixels of the picture.
    """

    key: str
    kind: str
    group: str
    picture: NDArray[np.uint8]
    question: str
    answer: str
    boxes: tuple[Box, ...] = ()


class Reply(Protocol):
    """What a model said: text, and boxes in pixels of the picture that it was about."""

    @property
    def text(self) -> str: ...
    @property
    def boxes(self) -> tuple[Box, ...]: ...


class Task(Protocol):
    """Items by index and the score (0..1) of a reply."""

    @property
    def name(self) -> str: ...
    def items(self, count: int) -> Sequence[Item]: ...
    def score(self, item: Item, reply: Reply) -> float: ...
