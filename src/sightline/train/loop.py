"""The loop: batch, loss, update; now and then a log line or a checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

import torch
from torch import Tensor

from sightline.core.errors import TrainError
from sightline.model.batch import Batch
from sightline.model.vlm import Vlm
from sightline.spec.train import StageSpec
from sightline.train.optim import MasterOptimizer, learning_rate

Loss = Callable[[Vlm, Batch, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """What one update did; times in seconds, loss in nats per target token."""

    stage: int
    step: int
    loss: float
    lr: float
    gradient_norm: float
    target_tokens: int
    visual_tokens: int
    step_s: float
    wait_s: float


class Watcher(Protocol):
    """Something that looks at every step: a progress bar, a log, a checkpoint."""

    def __call__(self, step: Step) -> None: ...


def run_stage(
    model: Vlm,
    optim: MasterOptimizer,
    stage: StageSpec,
    loss_of: Loss,
    batches: Iterable[tuple[Batch, Tensor]],
    watchers: Iterable[Watcher],
    *,
    index: int = 0,
    start: int = 0,
) -> None:
    """Train steps `start`..`stage.steps`; `batches` begin with the batch of step `start`.

    Raises TrainError on a loss or gradient that is not finite (nothing is written after it), and
    if the batches end before the steps.
    """
    watchers, batches = tuple(watchers), iter(batches)
    asked = time.perf_counter()
    for number in range(start, stage.steps):
        batch, targets_BT = _next(batches, number, stage.steps)
        began = time.perf_counter()
        batch = batch.to(model.device, model.dtype)
        loss = loss_of(model, batch, targets_BT.to(model.device))
        if not torch.isfinite(loss):
            raise TrainError("loss", f"is {loss.item()} at step {number}", "lower the rate")
        torch.autograd.backward(loss)
        lr = learning_rate(stage, number)
        norm = optim.step(lr, stage.clip)
        ended = time.perf_counter()
        step = Step(
            index,
            number,
            loss.item(),
            lr,
            norm,
            int(targets_BT[:, 1:].sum()),
            batch.visual_tokens,
            ended - began,
            began - asked,
        )
        asked = ended
        for watch in watchers:
            watch(step)


def _next(batches: Iterator[tuple[Batch, Tensor]], number: int, steps: int) -> tuple[Batch, Tensor]:
    try:
        return next(batches)
    except StopIteration:
        raise TrainError(
            "data", f"ends at step {number} of {steps}", "give more rows or fewer steps"
        ) from None


@dataclass(slots=True)
class Averages:
    """Running sums between two log lines."""

    steps: list[Step] = field(default_factory=list)

    def take(self) -> dict[str, float]:
        """Means since the last call; rates are per second of wall time."""
        wall = sum(s.step_s + s.wait_s for s in self.steps)
        out = {
            "stage": self.steps[-1].stage,
            "step": self.steps[-1].step,
            "loss": sum(s.loss for s in self.steps) / len(self.steps),
            "lr": self.steps[-1].lr,
            "gradient_norm": max(s.gradient_norm for s in self.steps),
            "target_tokens_per_s": sum(s.target_tokens for s in self.steps) / wall,
            "visual_tokens_per_s": sum(s.visual_tokens for s in self.steps) / wall,
            "steps_per_s": len(self.steps) / wall,
            "wait_share": sum(s.wait_s for s in self.steps) / wall,
        }
        self.steps.clear()
        return out


class JsonlLog:
    """A line of averages every `every` steps and at the end of a stage, appended to a file and
    handed to `also`."""

    def __init__(
        self, path: Path, every: int, also: Iterable[Callable[[dict[str, float]], None]] = ()
    ) -> None:
        self.every, self.also, self.averages = every, tuple(also), Averages()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file: IO[str] = path.open("a", encoding="utf-8")

    def __call__(self, step: Step) -> None:
        if self.averages.steps and self.averages.steps[-1].stage != step.stage:
            self._write()
        self.averages.steps.append(step)
        if (step.step + 1) % self.every == 0:
            self._write()

    def _write(self) -> None:
        line = self.averages.take()
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        for reader in self.also:
            reader(line)

    def close(self) -> None:
        if self.averages.steps:
            self._write()
        self.file.close()
