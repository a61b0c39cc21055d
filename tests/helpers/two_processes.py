"""What a test runs in processes of its own; they import this file and nothing else of the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from tests.helpers.pairs import LIKE_CLIP, LIKE_SIGLIP, batch, random_pair, rows
from torch import Tensor

from sightline.model.pair_prepare import PairBatch
from sightline.train.losses.contrastive import contrastive
from sightline.train.world import World

KINDS: dict[str, dict[str, Any]] = {"softmax": LIKE_CLIP, "sigmoid": LIKE_SIGLIP}
Found = dict[str, dict[str, Tensor]]


def shared_losses(rank: int, cases: Sequence[tuple[str, tuple[int, int]]], folder: str) -> None:
    """Loss and gradients of one of two processes' share of the rows, written to a file."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found: Found = {}
    for kind, sizes in cases:
        pair = random_pair(KINDS[kind])
        loss = contrastive(pair, share(rank, sizes), world=World(rank, 2))
        loss.backward()
        gradients = {name: p.grad for name, p in pair.named_parameters() if p.grad is not None}
        found[f"{kind} {sizes}"] = {"loss": loss.detach(), **gradients}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def share(rank: int, sizes: tuple[int, int]) -> PairBatch:
    """This process's rows; without any, one that is silent."""
    pixels, ids = rows(sum(sizes), 4)
    if not sizes[rank]:
        return batch(pixels, ids).silent()
    own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    return batch(pixels[own], ids[own])
