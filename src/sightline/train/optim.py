"""AdamW over float32 masters, and learning rates over time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from sightline.spec.train import ScheduleSpec, StageSpec


class MasterAdamW:
    """AdamW (Loshchilov and Hutter 2019) that updates float32 copies of low-precision weights.

    Matrices decay, vectors (norms, biases, tokens) do not. Parameters already in float32 are
    their own masters.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], stage: StageSpec) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.masters = [p.detach().float().requires_grad_() for p in self.parameters]
        groups = [
            {
                "params": [m for m in self.masters if m.ndim >= 2],
                "weight_decay": stage.weight_decay,
            },
            {"params": [m for m in self.masters if m.ndim < 2], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=stage.lr, betas=stage.betas, fused=True)

    def step(self, lr: float, clip: float) -> float:
        """One update from the parameters' gradients; returns the gradient norm before clipping."""
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        norm = nn.utils.clip_grad_norm_(self.masters, clip)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        self.adamw.step()
        self.write_back()
        return norm.item()

    @torch.no_grad()
    def write_back(self) -> None:
        """Round the masters into the parameters."""
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if master.data_ptr() != parameter.data_ptr():
                parameter.copy_(master)

    def tensors(self) -> dict[str, Tensor]:
        """Masters and moments by index, for a checkpoint."""
        out: dict[str, Tensor] = {}
        for i, master in enumerate(self.masters):
            out[f"{i}.master"] = master.detach()
            for key, value in self.adamw.state.get(master, {}).items():
                out[f"{i}.{key}"] = value
        return out

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned."""
        for i, master in enumerate(self.masters):
            master.copy_(tensors[f"{i}.master"])
            found = {
                k: tensors[f"{i}.{k}"].clone()
                for k in ("step", "exp_avg", "exp_avg_sq")
                if f"{i}.{k}" in tensors
            }
            if found:
                state: dict[str, Any] = self.adamw.state[master]
                state.update(found)
        self.write_back()


def learning_rate(stage: StageSpec, step: int) -> float:
    """The rate of step 0..steps-1."""
    schedule, peak = stage.schedule, stage.lr
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    left = 1 - (step - schedule.warmup_steps) / (stage.steps - schedule.warmup_steps)
    return peak * (schedule.floor + (1 - schedule.floor) * _shape(schedule, left))


def _shape(schedule: ScheduleSpec, left: float) -> float:
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
