"""A task that a tiny model learns in seconds: is the picture bright or dark?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tests.helpers.tiny import VISUAL, Item, item, shown, tiny_spec
from torch import Tensor

from sightline.model.batch import Batch, collate
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.model.vlm import Vlm
from sightline.spec.train import StageSpec

DARK, BRIGHT = 10, 11
STAGE = {
    "kind": "instruct",
    "data": {"kind": "scenes"},
    "steps": 40,
    "lr": 0.01,
    "schedule": {"warmup_steps": 4},
}


def stage(**changes: object) -> StageSpec:
    return StageSpec.parse(STAGE | changes)


def fresh(seed: int = 0, dtype: torch.dtype = torch.float32) -> Vlm:
    """An untrained model."""
    model = build_model(tiny_spec(), dtype=dtype)
    initialise(model, seed)
    return model


def question(step: int, row: int, bright: bool) -> Item:
    """One row: a question of 1 to 3 words about a picture, and the answer as last token."""
    words = [5, 6, 7][: 1 + row % 3]
    one = item(words, 1, [8, BRIGHT if bright else DARK], seed=100 * step + row)
    assert one.pixels_V3HW is not None
    pixels = 0.3 * one.pixels_V3HW + (1.0 if bright else -1.0)
    return Item(one.token_ids, one.visual_T, one.positions_AT, shown(pixels, VISUAL))


def batch_of(step: int, rows: int = 4) -> tuple[Batch, Tensor]:
    """The batch of a step: a function of its number. Only the answer is a target."""
    items = [question(step, row, (step + row) % 2 == 0) for row in range(rows)]
    batch = collate(items, 0, "right")
    targets_BT = (batch.token_ids_BT == DARK) | (batch.token_ids_BT == BRIGHT)
    return batch, targets_BT


def batches(start: int = 0, stop: int = 10**6) -> Iterator[tuple[Batch, Tensor]]:
    return (batch_of(step) for step in range(start, stop))
