"""Checkpoints that several processes write and read, each its own shards.

Tensors go through torch.distributed.checkpoint into safetensors, one file a process, with the
places of its shards in the header. So any number of processes reads what any number has written,
and no file is a pickle.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor, distribute_tensor

from sightline.train import checkpoint
from sightline.train.checkpoint import Checkpoint
from sightline.train.world import World

SHARDS = "shards"
SCALAR = "()"  # ends the names of tensors without a dimension: a place needs one

Like = Mapping[str, Tensor]


def write(folder: Path, made: Checkpoint, keep: int, world: World) -> Path:
    """As `checkpoint.write`, by all processes into one folder that all can reach; the first one
    gives it its name when every process has written its part."""
    target = folder / checkpoint.name_of(made.progress)

    def fill(partial: Path) -> None:
        world.barrier()  # the folder is there
        for group in checkpoint.GROUPS:
            folder = str(partial / SHARDS / group)
            stored = dict(_as_stored(*named) for named in made.tensors(group).items())
            writer = HuggingFaceStorageWriter(folder, save_distributed=True)
            save(stored, storage_writer=writer)
        world.barrier()  # all parts are written

    if world.leads:
        checkpoint.with_partial(target, fill, made)
        checkpoint.drop_old(folder, keep)
    else:
        fill(checkpoint.partial_of(target))
    world.barrier()
    return target


def _as_stored(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    if tensor.ndim == 0:
        return name + SCALAR, tensor.detach().reshape(1)
    return name, tensor.detach()


def read(path: Path, world: World) -> Checkpoint:
    """A checkpoint of any number of processes; several ones read its tensors later (`group_of`).

    Raises TrainError for a damaged folder.
    """
    if world.size > 1:
        return checkpoint.read_facts(path)
    if not (path / SHARDS).is_dir():
        return checkpoint.read(path)
    facts = checkpoint.read_facts(path)
    groups = {group: group_of(facts, group) for group in checkpoint.GROUPS}
    return checkpoint.with_tensors(facts, groups)


def group_of(found: Checkpoint, group: str, like: Like | None = None) -> Mapping[str, Tensor]:
    """The tensors of one of `checkpoint.GROUPS`. All processes must call it.

    A tensor of the name (up to a `|`) and the shape of one in `like` is sharded as that one is and
    a process reads no more than its shard; others are whole.

    Raises TrainError for a damaged folder.
    """
    if found.path is None:
        return found.tensors(group)
    try:
        if (found.path / SHARDS).is_dir():
            return _from_shards(found.path / SHARDS / group, like or {})
        return _from_whole(found.path / f"{group}.safetensors", like or {})
    except checkpoint.DAMAGE as error:
        raise checkpoint.damaged(found.path, error) from None


def _from_shards(folder: Path, like: Like) -> dict[str, Tensor]:
    reader = HuggingFaceStorageReader(str(folder))
    found: dict[str, Tensor] = {}
    for name, entry in reader.read_metadata().state_dict_metadata.items():
        assert isinstance(entry, TensorStorageMetadata), "nothing else is written"
        dtype, pattern = entry.properties.dtype, _pattern(name, entry.size, like)
        if pattern is None:
            found[name] = torch.empty(entry.size, dtype=dtype)
        else:
            found[name] = torch.empty_like(pattern, dtype=dtype)
    if found:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*intent is to load in a single process")
            load(found, storage_reader=reader, no_dist=not dist.is_initialized())
    return dict(_as_read(*named) for named in found.items())


def _as_read(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    if name.endswith(SCALAR):
        return name.removesuffix(SCALAR), tensor.reshape(())
    return name, tensor


def _from_whole(file: Path, like: Like) -> dict[str, Tensor]:
    """One tensor after another, so that no process holds all of them whole."""
    found: dict[str, Tensor] = {}
    with safe_open(file, framework="pt") as opened:
        for name in opened.keys():
            whole: Tensor = opened.get_tensor(name)
            pattern = _pattern(name, whole.shape, like)
            found[name] = whole if pattern is None else dealt(whole, pattern)
    return found


def dealt(whole: Tensor, pattern: DTensor) -> DTensor:
    """A tensor that every process holds, sharded as `pattern` is."""
    mesh, places = pattern.device_mesh, pattern.placements
    return distribute_tensor(whole.to(mesh.device_type), mesh, places, src_data_rank=None)


def _pattern(name: str, shape: torch.Size, like: Like) -> DTensor | None:
    found = like.get(name.rpartition("|")[0] or name)
    return found if isinstance(found, DTensor) and found.shape == shape else None
