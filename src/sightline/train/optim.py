"""AdamW and Muon over float32 masters, and learning rates over time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from sightline.core.errors import TrainError
from sightline.nn.linear import Linear
from sightline.spec.train import ScheduleSpec, StageSpec

MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


class MasterOptimizer:
    """AdamW (Loshchilov and Hutter 2019) on float32 copies of low-precision weights.

    Everything with two dimensions or more decays, vectors do not. Parameters already in float32 are
    their own masters. With `optimizer: muon` the weights of linear layers, given as `matrices`,
    follow Muon (Jordan et al. 2024; update scaled to AdamW's as in Moonlight, Liu et al. 2025).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        stage: StageSpec,
        matrices: Iterable[nn.Parameter] = (),
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.masters = [p.detach().float().requires_grad_() for p in self.parameters]
        by_muon = {id(p) for p in matrices} if stage.optimizer == "muon" else set()
        pairs = list(zip(self.parameters, self.masters, strict=True))
        muon = [m for p, m in pairs if id(p) in by_muon]
        rest = [m for p, m in pairs if id(p) not in by_muon]
        self.optimizers = [_adamw(rest, stage), *([_muon(muon, stage)] if muon else [])]

    def step(self, lr: float, clip: float) -> float:
        """One update from the parameters' gradients; returns the gradient norm before clipping.

        Raises TrainError if that is not finite, and then changes nothing.
        """
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        norm = nn.utils.clip_grad_norm_(self.masters, clip).item()
        if not math.isfinite(norm):
            raise TrainError("gradient", f"has the norm {norm}", "lower the rate")
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad()
        self.write_back()
        return norm

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
            for optimizer in self.optimizers:
                for key, value in optimizer.state.get(master, {}).items():
                    out[f"{i}.{key}"] = value
        return out

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned. Raises TrainError for those of other parameters."""
        self._refuse_others(tensors)
        for i, master in enumerate(self.masters):
            master.copy_(tensors[f"{i}.master"])
            found = {k: tensors[f"{i}.{k}"].clone() for k in MOMENTS if f"{i}.{k}" in tensors}
            if found:
                state: dict[str, Any] = self._owner(master).state[master]
                state.update(found)
        self.write_back()

    def _owner(self, master: Tensor) -> torch.optim.Optimizer:
        """The optimiser that updates this master."""
        for optimizer in self.optimizers:
            if any(master is p for group in optimizer.param_groups for p in group["params"]):
                return optimizer
        raise AssertionError("every master has an optimiser")

    def _refuse_others(self, tensors: dict[str, Tensor]) -> None:
        saved = {k: tuple(v.shape) for k, v in tensors.items() if k.endswith(".master")}
        own = {f"{i}.master": tuple(m.shape) for i, m in enumerate(self.masters)}
        if saved != own:
            raise TrainError(
                "optimiser",
                f"was saved for {len(saved)} other parameters than the {len(own)} that train",
                "resume with the recipe that the run began with",
            )


def _adamw(masters: list[Tensor], stage: StageSpec) -> torch.optim.Optimizer:
    matrices = [m for m in masters if m.ndim >= 2]
    vectors = [m for m in masters if m.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.lr, betas=stage.betas, fused=True)


def _muon(masters: list[Tensor], stage: StageSpec) -> torch.optim.Optimizer:
    return torch.optim.Muon(
        masters,
        lr=stage.lr,
        weight_decay=stage.weight_decay,
        momentum=stage.betas[1],
        adjust_lr_fn="match_rms_adamw",
    )


def linear_weights(module: nn.Module) -> list[nn.Parameter]:
    """The matrices that Muon is made for: those of linear layers, not of embeddings or heads."""
    return [child.weight for child in module.modules() if isinstance(child, Linear)]


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
