"""The processes of a run: one, or several that `torchrun` started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from sightline.core.errors import TrainError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """Which process this is, and of how many."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process logs, tells and writes what is written once."""
        return self.rank == 0

    def sums(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes, in float64, equal everywhere."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        found: list[float] = sums.tolist()
        return found

    def gathered(self, value: T) -> list[T]:
        """What each process gives, by rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def barrier(self) -> None:
        """Wait for all processes."""
        self.sums([0.0])


ALONE = World()


@contextmanager
def joined_world() -> Iterator[World]:
    """The processes that `torchrun` started, each on its own GPU (NCCL; counts go through gloo)
    or all on the CPU (gloo); without it this one alone, where it is.

    An error of one ends all: it leaves without waiting, `torchrun` ends the others and returns its
    exit status. Raises TrainError in a process that another one has left.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    world = World(dist.get_rank(), dist.get_world_size())
    try:
        yield world
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        problem = f"{world.rank} of {world.size} was left by another one"
        raise TrainError("process", problem, "mend what that one says") from error
    dist.destroy_process_group()


def _is_lost(error: RuntimeError) -> bool:
    """Whether a collective operation failed; gloo has no class of error for that."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
