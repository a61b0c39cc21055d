"""AdamW and Muon over float32 masters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from sightline.core.errors import TrainError
from sightline.nn.linear import Linear
from sightline.nn.nf4 import bitsandbytes
from sightline.spec.train import StageSpec
from sightline.train.parts import Group


class MasterOptimizer:
    """AdamW (Loshchilov and Hutter 2019) on float32 copies of low-precision weights.

    Parameters already in float32 are their own masters. With `optimizer: muon` the weights of
    linear layers, given as `matrices`, follow Muon (Jordan et al. 2024; update scaled to AdamW's as
    in Moonlight, Liu et al. 2025). `adamw8bit` keeps moments in 8 bits (Dettmers et al. 2022;
    bitsandbytes), of tensors of 4096 numbers and more.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        stage: StageSpec,
        matrices: Iterable[nn.Parameter] = (),
    ) -> None:
        groups = tuple(groups)
        self.parameters = [p for group in groups for p in group.parameters]
        self.names = [name for group in groups for name in group.names]
        self.masters = [p.detach().float().requires_grad_() for p in self.parameters]
        master_of = dict(zip(map(id, self.parameters), self.masters, strict=True))
        by_muon = {id(p) for p in matrices} if stage.optimizer == "muon" else set()
        muon = [_options(g, master_of, lambda p: id(p) in by_muon) for g in groups]
        rest = [_options(g, master_of, lambda p: id(p) not in by_muon) for g in groups]
        made = ((_muon, muon), (_adamw, rest))
        self.optimizers = [
            make([g for g in given if g["params"]], stage)
            for make, given in made
            if any(g["params"] for g in given)
        ]
        self.owners = {
            id(p): optimizer
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for p in group["params"]
        }

    def step(self, lr: float, clip: float) -> float:
        """One update from the parameters' gradients; returns the gradient norm before clipping.

        Raises TrainError if that is not finite, and then changes nothing.
        """
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        norm = _whole(nn.utils.clip_grad_norm_(self.masters, clip)).item()
        if not math.isfinite(norm):
            raise TrainError("gradient", f"has the norm {norm}", "lower the rate")
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group["rate"]
            optimizer.step()
            optimizer.zero_grad()
        self.write_back()
        return norm

    def forget_gradients(self) -> None:
        """Drop what a backward pass has left."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def write_back(self) -> None:
        """Round the masters into the parameters."""
        copies = [
            (p.detach(), master.detach())
            for master, p in zip(self.masters, self.parameters, strict=True)
            if p.dtype != master.dtype
        ]
        if copies:
            torch._foreach_copy_([p for p, _ in copies], [m for _, m in copies])

    def tensors(self) -> dict[str, Tensor]:
        """Masters and moments by the parameter's name, for a checkpoint."""
        out: dict[str, Tensor] = {}
        for name, master in zip(self.names, self.masters, strict=True):
            out[f"{name}|master"] = master.detach()
            for key, value in self._state(master).items():
                out[f"{name}|{key}"] = value if isinstance(value, Tensor) else torch.tensor(value)
        return out

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned. Raises TrainError for those of other parameters."""
        self._refuse_others(tensors)
        states: dict[str, dict[str, Tensor]] = {name: {} for name in self.names}
        for full, value in tensors.items():
            name, _, key = full.rpartition("|")
            states[name][key] = value
        for name, master in zip(self.names, self.masters, strict=True):
            master.copy_(states[name].pop("master"))
            if states[name]:
                self.owners[id(master)].state[master] = _restored(states[name], master.device)
        self.write_back()

    def _state(self, master: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.owners[id(master)].state.get(master, {})
        return state

    def _refuse_others(self, tensors: dict[str, Tensor]) -> None:
        saved = {k: tuple(v.shape) for k, v in tensors.items() if k.endswith("|master")}
        own = {
            f"{name}|master": tuple(m.shape)
            for name, m in zip(self.names, self.masters, strict=True)
        }
        if saved != own:
            raise TrainError(
                "optimiser",
                f"was saved for {len(saved)} other parameters than the {len(own)} that train",
                "resume with the recipe that the run began with",
            )


def _options(group: Group, master_of: dict[int, Tensor], wanted: Any) -> dict[str, Any]:
    params = [master_of[id(p)] for p in group.parameters if wanted(p)]
    return {"params": params, "weight_decay": group.weight_decay, "rate": group.rate}


def _adamw(groups: list[dict[str, Any]], stage: StageSpec) -> torch.optim.Optimizer:
    match stage.optimizer:
        case "adamw" | "muon":
            return torch.optim.AdamW(groups, lr=stage.lr, betas=stage.betas, fused=True)
        case "adamw8bit":
            return _adamw8bit(groups, stage)
        case _:
            assert_never(stage.optimizer)


def _adamw8bit(groups: list[dict[str, Any]], stage: StageSpec) -> torch.optim.Optimizer:
    make: Any = bitsandbytes("optimizer").optim.AdamW8bit
    made: torch.optim.Optimizer = make(groups, lr=stage.lr, betas=stage.betas)
    return made


def _muon(groups: list[dict[str, Any]], stage: StageSpec) -> torch.optim.Optimizer:
    return torch.optim.Muon(
        groups,
        lr=stage.lr,
        momentum=stage.betas[1],
        adjust_lr_fn="match_rms_adamw",
    )


def _restored(state: dict[str, Tensor], device: torch.device) -> dict[str, Any]:
    """As the optimiser keeps it, on the device of the master: bitsandbytes counts its steps in a
    plain int."""
    counts = {k: int(v) for k, v in state.items() if not v.is_floating_point() and v.ndim == 0}
    moved = {k: v.clone() if v.device == device else v.to(device) for k, v in state.items()}
    return moved | counts


def _whole(norm: Tensor) -> Tensor:
    """The norm of all shards, where parameters are sharded."""
    whole: Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole


def linear_weights(module: nn.Module) -> list[nn.Parameter]:
    """The matrices that Muon is made for: those of linear layers, not of embeddings or heads; one
    that lies in another format does not train."""
    linears = (child for child in module.modules() if isinstance(child, Linear))
    return [linear.weight for linear in linears if linear.store is None]
