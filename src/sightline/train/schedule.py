"""Learning rates over the steps of a stage."""

from __future__ import annotations

import math
from typing import assert_never

from sightline.spec.train import ScheduleSpec, StageSpec


def learning_rate(stage: StageSpec, step: int) -> float:
    """The stage's rate at step 0..steps-1; parts with rates of their own scale with it."""
    return stage.lr * shape(stage.schedule, step, stage.num_steps)


def shape(schedule: ScheduleSpec, step: int, steps: int) -> float:
    """The rate of a step as a share of its peak."""
    warmup = schedule.warmup(steps)
    if step < warmup:
        return (step + 1) / warmup
    left = 1 - (step - warmup) / (steps - warmup)
    return schedule.floor + (1 - schedule.floor) * _falling(schedule, left)


def _falling(schedule: ScheduleSpec, left: float) -> float:
    """1 -> 0 as `left` (the share of steps to go) falls from 1 to 0."""
    match schedule.kind:
        case "cosine":
            return 0.5 * (1 - math.cos(math.pi * left))
        case "linear":
            return left
        case "wsd":
            return min(1.0, left / schedule.decay_share)
        case _:
            assert_never(schedule.kind)
