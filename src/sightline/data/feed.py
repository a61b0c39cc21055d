"""Batches of training rows, made in worker processes, in a fixed order."""

# B sequences  T tokens

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sightline.model.batch import Batch, collate
from sightline.model.prepare import Prepared

Row = Callable[[int], Prepared]


class Steps(Dataset[tuple[Batch, Tensor]]):
    """Item s is the batch of step s: rows s*batch .. s*batch + batch - 1, so a run that resumes
    at step s sees what it would have seen."""

    def __init__(self, row: Row, batch: int, pad_id: int) -> None:
        self.row, self.batch, self.pad_id = row, batch, pad_id

    def __getitem__(self, step: int) -> tuple[Batch, Tensor]:
        return training_batch(
            [self.row(step * self.batch + i) for i in range(self.batch)], self.pad_id
        )


def training_batch(items: Sequence[Prepared], pad_id: int) -> tuple[Batch, Tensor]:
    """Rows padded on the right, and bool[B, T] marking target tokens.

    Neither causal attention nor a group looks at padding on the right, so the mask needs no
    documents.
    """
    batch = collate(items, pad_id, "right")
    targets_BT = torch.zeros(batch.token_ids_BT.shape, dtype=torch.bool)
    for row, item in enumerate(items):
        targets_BT[row, : len(item.targets)] = torch.tensor(item.targets, dtype=torch.bool)
    return replace(batch, mask=replace(batch.mask, document_BS=None)), targets_BT


def feed(steps: Steps, start: int, stop: int, workers: int) -> Iterator[tuple[Batch, Tensor]]:
    """Batches of steps start..stop-1, in order, made ahead by `workers` processes (0: this one)."""
    options: dict[str, Any] = {"prefetch_factor": 4} if workers else {}
    loader = DataLoader(
        steps, batch_size=None, sampler=range(start, stop), num_workers=workers, **options
    )
    yield from loader
