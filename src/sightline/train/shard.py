"""A model dealt to several processes: FSDP2 over its blocks (Zhao et al. 2023)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm

from sightline.core.errors import TrainError
from sightline.nn.linear import Linear
from sightline.nn.lora import blocks_of
from sightline.spec.train import StageSpec
from sightline.train.world import World

ModelT = TypeVar("ModelT", bound=nn.Module)


def refuse_unsharded(model: nn.Module, stage: StageSpec) -> None:
    """Raises TrainError for what does not work on shards, with the reason."""
    if stage.optimizer == "muon":
        problem = "muon needs whole matrices, and each of several processes holds rows of them"
        raise TrainError("optimizer", problem, "use adamw, or one process")
    if stage.optimizer == "adamw8bit":
        problem = "adamw8bit counts in blocks of whole tensors, and processes hold shards of them"
        raise TrainError("optimizer", problem, "use adamw, or one process")
    for name, module in model.named_modules():
        if isinstance(module, Linear) and module.store is not None:
            problem = f"lies in NF4, which is not dealt to several processes: {name}"
            raise TrainError("trains", problem, "use lora instead of qlora, or one process")
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            problem = f"keeps means of what each process sees, which would differ: {name}"
            raise TrainError("model", problem, "use one process, or an encoder without batch norm")


def sharded(model: ModelT, dtype: torch.dtype, world: World) -> ModelT:
    """A twin of the model whose tensors are dealt to the processes by rows.

    What trains is held in float32, so that the shards are the optimiser's masters; blocks compute
    in `dtype` on whole tensors gathered for as long as they run, and gradients are averaged in
    float32. What is frozen is held as it was. Each block of the model's parts is a group; the rest
    (embeddings, norms, head, connector) is one more, gathered for a whole step, so that
    `language.logits` finds its head outside of the forward pass.

    The model itself is left without values until `fill_whole` gives them back: a process never
    holds more than one whole copy. Every process must hold the same values when it calls this.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (world.size,))
    twin = _twin(model)
    for p in twin.parameters():
        if p.requires_grad:
            p.data = p.data.float()
    mixed = None if dtype == torch.float32 else dtype
    policy = MixedPrecisionPolicy(mixed, torch.float32, cast_forward_inputs=False)
    for block in (block for part in twin.children() for block in blocks_of(part)):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(twin, mesh=mesh, mp_policy=policy)
    for p in model.parameters():
        p.data = p.data.new_zeros(()).expand(p.shape)  # its shape, and nothing else
    return twin


def _twin(model: ModelT) -> ModelT:
    """The same modules and settings anew; parameters of their own that share the values."""
    shared: dict[int, object] = {
        id(p): nn.Parameter(p.data, requires_grad=p.requires_grad) for p in model.parameters()
    }
    return copy.deepcopy(model, shared)


@torch.no_grad()
def fill_whole(model: nn.Module, twin: nn.Module, keep: bool = True) -> None:
    """Give the model the values of its sharded twin, in the dtypes that it had.

    All processes must call it; those with `keep` False help and keep nothing.
    """
    own = dict(model.named_parameters())
    for name, p in twin.named_parameters():
        whole = full_tensor(p)
        if keep:
            own[name].data = whole.to(own[name], copy=True)
    buffers = dict(model.named_buffers())
    for name, buffer in twin.named_buffers():
        buffers[name].copy_(buffer)


def full_tensor(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be sharded; all processes must call it."""
    whole: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole.detach()


@contextmanager
def gathered_root(model: nn.Module) -> Iterator[None]:
    """What stands outside the blocks is whole for as long as the context lasts, so that dtypes and
    the head can be read between forward passes that train nothing."""
    if not isinstance(model, FSDPModule):
        yield
        return
    model.unshard()
    try:
        yield
    finally:
        model.reshard()


def reduces(model: nn.Module, now: bool) -> None:
    """Whether the next backward pass shares gradients with the other processes; until it does each
    keeps its own sum, whole and in float32."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now)
