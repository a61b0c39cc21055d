"""A task that a tiny model learns in seconds: is the picture bright or dark?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tests.helpers.tiny import VISUAL, Item, item, shown, tiny_spec

from sightline.data.collate import TrainBatch
from sightline.model.batch import collate
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.model.vlm import Vlm
from sightline.spec.train import StageSpec
from sightline.train.loop import Updater, run_stage
from sightline.train.losses.next_token import next_token
from sightline.train.optim import MasterOptimizer, linear_weights
from sightline.train.parts import groups, prepare_parts

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


def batch_of(step: int, rows: int = 4) -> TrainBatch:
    """The batch of a step: a function of its number. Only the answer is a target."""
    items = [question(step, row, (step + row) % 2 == 0) for row in range(rows)]
    return train_batch(items, step)


def train_batch(items: Sequence[Item], step: int = 0) -> TrainBatch:
    """Rows padded on the right; DARK and BRIGHT are targets."""
    batch = collate(items, 0, "right")
    targets_BT = (batch.token_ids_BT == DARK) | (batch.token_ids_BT == BRIGHT)
    tokens = sum(len(one.token_ids) for one in items)
    ids = tuple(f"{step}/{row}" for row in range(len(items)))
    return TrainBatch(batch, targets_BT.float(), ids, tokens, batch.token_ids_BT.numel())


@dataclass(frozen=True)
class Fed:
    """The data of one step."""

    micro: tuple[TrainBatch, ...]
    state: Mapping[str, Any] = field(default_factory=dict)
    bad: tuple[Exception, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(id_ for batch in self.micro for id_ in batch.ids)


def batches(start: int = 0, stop: int = 10**6) -> Iterator[Fed]:
    return (Fed((batch_of(step),), {"next": step + 1}) for step in range(start, stop))


def optimiser(model: Vlm, spec: StageSpec) -> MasterOptimizer:
    """For the parts that the stage trains."""
    prepare_parts(model, spec, 0)
    return MasterOptimizer(groups(model, spec), spec, linear_weights(model))


def train(
    model: Vlm,
    spec: StageSpec,
    data: Iterator[Fed],
    watchers: Any = (),
    optim: MasterOptimizer | None = None,
    loss_of: Any = next_token,
    **options: Any,
) -> MasterOptimizer:
    """Run a stage on `data`; returns the optimiser."""
    optim = optimiser(model, spec) if optim is None else optim
    update = Updater(model, optim, spec, loss_of, model.device, model.dtype)
    run_stage(update, data, watchers, **options)
    return optim
