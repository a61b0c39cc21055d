"""The loop: micro-batches, loss, update; those who watch see every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from sightline.core.errors import TrainError
from sightline.spec.train import StageSpec
from sightline.train.optim import MasterOptimizer
from sightline.train.schedule import learning_rate
from sightline.train.shard import reduces
from sightline.train.world import ALONE, World


class Micro(Protocol):
    """What the loop needs of one micro-batch: to move it, and to count it.

    weight: what its summed loss is divided by. tokens: those of the sequence that are no padding;
    capacity: with padding. rows: conversations, or pairs.
    """

    @property
    def weight(self) -> float: ...
    @property
    def rows(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def target_tokens(self) -> int: ...
    @property
    def visual_tokens(self) -> int: ...
    def to(self, device: torch.device, dtype: torch.dtype) -> Self: ...


class Fed(Protocol):
    """The data of one step: this process's micro-batches, and where the data stand after it."""

    @property
    def micro(self) -> Sequence[Any]: ...
    @property
    def state(self) -> Mapping[str, Any]: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def bad(self) -> Sequence[Exception]: ...


Loss = Callable[[Any, Any], Tensor]  # (model, micro-batch) -> the sum of its losses


@dataclass(frozen=True, slots=True)
class Counts:
    """What one update was made from, over all processes; flops: of the model, where counted."""

    rows: int
    tokens: int
    capacity: int
    target_tokens: int
    visual_tokens: int
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What one update did; times in seconds, loss in nats per target token (or pair).

    step: of `steps` of its stage, from 0; update: over all stages.
    """

    stage: int
    step: int
    steps: int
    update: int
    loss: float
    lr: float
    gradient_norm: float
    counts: Counts
    step_s: float
    wait_s: float
    ids: tuple[str, ...]
    feed: Mapping[str, Any]
    bad: tuple[Exception, ...] = ()


# Something that looks at every step: a progress bar, a log, a checkpoint.
Watcher = Callable[[Step], None]


@dataclass(frozen=True)
class Updater:
    """One update of a model from the micro-batches of a step, shared with other processes.

    even: gives these what they lack of those of other processes.
    """

    model: nn.Module
    optim: MasterOptimizer
    stage: StageSpec
    loss_of: Loss
    device: torch.device
    dtype: torch.dtype
    world: World = ALONE
    flops_of: Callable[[Any], int] = lambda batch: 0
    even: Callable[[Sequence[Any]], Sequence[Any]] = list

    def __call__(self, micro: Sequence[Micro], number: int) -> tuple[float, float, Counts]:
        """Loss, gradient norm before clipping, and counts.

        The loss is a mean over the targets of the whole step: how they are dealt into micro-batches
        and processes changes nothing. Raises TrainError, before anything changes, on a loss or
        gradient that is not finite.
        """
        flops = sum(map(self.flops_of, micro))
        weight, *counted = self.world.sums([*_counted(micro), flops])
        if weight <= 0:
            raise TrainError("data", f"step {number} has no target", "leave such rows out")
        whole = self.even(micro)
        lost = [self._backward(batch, weight, batch is whole[-1]) for batch in whole]
        [loss] = self.world.sums([torch.stack(lost).sum().item() / weight])
        if not _finite(loss):
            self.optim.forget_gradients()
            raise TrainError("loss", f"is {loss} at step {number}", "lower the rate")
        norm = self.optim.step(learning_rate(self.stage, number), self.stage.clip)
        return loss, norm, Counts(*map(int, counted))

    def _backward(self, batch: Micro, weight: float, last: bool) -> Tensor:
        """Gradients of one micro-batch's part of the mean; returns its summed loss.

        Several processes average their gradients, which are to be summed, after the last one.
        """
        reduces(self.model, last)
        loss = self.loss_of(self.model, batch.to(self.device, self.dtype))
        torch.autograd.backward(loss * (self.world.size / weight))
        return loss.detach().double()


def _counted(micro: Sequence[Micro]) -> list[float]:
    return [
        sum(values)
        for values in zip(
            *(
                (b.weight, b.rows, b.tokens, b.capacity, b.target_tokens, b.visual_tokens)
                for b in micro
            ),
            strict=True,
        )
    ]


def _finite(loss: float) -> bool:
    return loss == loss and abs(loss) != float("inf")


def run_stage(
    update: Updater,
    steps: Iterable[Fed],
    watchers: Iterable[Watcher],
    *,
    index: int = 0,
    start: int = 0,
    before: int = 0,
) -> None:
    """Train steps `start`.. of a stage; `steps` begin with the data of step `start`; `before`
    updates were made by earlier stages.

    Raises TrainError as `Updater` does, and if the data end before the steps.
    """
    stage = update.stage
    watchers, fed = tuple(watchers), iter(steps)
    asked = time.perf_counter()
    for number in range(start, stage.num_steps):
        data = _next(fed, number, stage.num_steps)
        began = time.perf_counter()
        loss, norm, counts = update(data.micro, number)
        ended = time.perf_counter()
        step = Step(
            index,
            number,
            stage.num_steps,
            before + number,
            loss,
            learning_rate(stage, number),
            norm,
            counts,
            ended - began,
            began - asked,
            tuple(data.ids),
            data.state,
            tuple(data.bad),
        )
        asked = ended
        for watch in watchers:
            watch(step)


def _next(fed: Iterator[Fed], number: int, steps: int) -> Fed:
    try:
        return next(fed)
    except StopIteration:
        raise TrainError(
            "data", f"ends at step {number} of {steps}", "give more rows or fewer steps"
        ) from None
