"""Training rows as one micro-batch: side by side, or end to end."""

# B sequences  T tokens

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from sightline.model.batch import Batch, collate, pack
from sightline.model.prepare import Prepared


class Weighed(Protocol):
    """What a micro-batch needs of one row; weights: one per token, the first is 0."""

    @property
    def id(self) -> str: ...
    @property
    def prepared(self) -> Prepared: ...
    @property
    def weights(self) -> Sequence[float]: ...


@dataclass(frozen=True, slots=True)
class TrainBatch:
    """A micro-batch of conversations.

    Attributes:
        batch: what the model reads.
        weights_BT: float32, what the loss of each token counts; 0 where it is no target. The first
            token of a conversation is never one: nothing stands before it.
        ids: where its rows come from.
        tokens: those of the sequences, without padding.
        capacity: places for tokens: with padding, or those that a pack may hold.
    """

    batch: Batch
    weights_BT: Tensor
    ids: tuple[str, ...]
    tokens: int
    capacity: int

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def weight(self) -> float:
        """What the summed loss is divided by."""
        return float(self.weights_BT.sum(dtype=torch.float64))

    @property
    def target_tokens(self) -> int:
        return int((self.weights_BT > 0).sum())

    @property
    def visual_tokens(self) -> int:
        """In the sequences, or beside them in a memory."""
        return self.batch.visual_tokens

    def to(self, device: torch.device, dtype: torch.dtype) -> TrainBatch:
        """On `device`, pixels in `dtype`."""
        batch = self.batch.to(device, dtype)
        return replace(self, batch=batch, weights_BT=self.weights_BT.to(device))

    def silent(self) -> TrainBatch:
        """The same tokens and pictures, of no row, and teaching nothing."""
        weights_BT = torch.zeros_like(self.weights_BT)
        return replace(self, weights_BT=weights_BT, ids=(), tokens=0, capacity=0)


def padded(rows: Sequence[Weighed], pad_id: int) -> TrainBatch:
    """Side by side, padded on the right to the longest.

    Neither causal attention nor a group looks at padding on the right, so the mask needs no
    documents.
    """
    batch = collate([row.prepared for row in rows], pad_id, "right")
    batch = replace(batch, mask=replace(batch.mask, document_BS=None))
    weights_BT = torch.zeros(batch.token_ids_BT.shape)
    for number, row in enumerate(rows):
        weights_BT[number, : len(row.weights)] = torch.tensor(row.weights)
    return _batch(batch, weights_BT, rows, weights_BT.numel())


def packed(rows: Sequence[Weighed], tokens: int) -> TrainBatch:
    """End to end in one sequence, each seeing only itself; `tokens` is what it may hold."""
    batch = pack([row.prepared for row in rows])
    weights_BT = torch.cat([torch.tensor(row.weights) for row in rows])[None]
    return _batch(batch, weights_BT, rows, tokens)


def _batch(batch: Batch, weights_BT: Tensor, rows: Sequence[Weighed], capacity: int) -> TrainBatch:
    tokens = sum(len(row.weights) for row in rows)
    return TrainBatch(batch, weights_BT, tuple(row.id for row in rows), tokens, capacity)
