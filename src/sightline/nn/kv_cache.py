"""Keys and values of tokens already seen, contiguous, handed to blocks one layer at a time."""

# B batch  G key/value heads  S capacity  T new tokens  K head dim

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


class KvCache:
    """Room for `capacity` tokens of `batch` sequences in every layer.

    Columns are shared by the batch (shorter sequences are padded on the left and masked).
    """

    def __init__(
        self,
        *,
        depth: int,
        batch: int,
        capacity: int,
        kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (depth, 2, batch, kv_heads, capacity, head_dim)
        self.store_L2BGSK = torch.empty(shape, dtype=dtype, device=device)
        self.capacity = capacity
        self.length = 0

    def layer(self, index: int) -> LayerKv:
        """The view of one block; it reads `length` columns and writes after them."""
        return LayerKv(self.store_L2BGSK[index], self.length)

    def advance(self, tokens: int) -> None:
        """Count the columns that every layer has written in this pass."""
        self.length += tokens

    def select(self, rows_B: Tensor) -> None:
        """Keep (and repeat) sequences by row, as beam search needs."""
        self.store_L2BGSK = self.store_L2BGSK.index_select(2, rows_B)

    @property
    def num_bytes(self) -> int:
        return self.store_L2BGSK.numel() * self.store_L2BGSK.element_size()


@dataclass(frozen=True, slots=True)
class LayerKv:
    """One layer's keys and values."""

    store_2BGSK: Tensor
    length: int

    def append(self, k_BTGK: Tensor, v_BTGK: Tensor) -> tuple[Tensor, Tensor]:
        """Write new columns; returns keys and values [B, G, length + T, K]."""
        stop = self.length + k_BTGK.shape[1]
        if stop > self.store_2BGSK.shape[3]:
            raise IndexError(f"cache of {self.store_2BGSK.shape[3]} columns asked for {stop}")
        self.store_2BGSK[0, :, :, self.length : stop] = k_BTGK.transpose(1, 2)
        self.store_2BGSK[1, :, :, self.length : stop] = v_BTGK.transpose(1, 2)
        return self.store_2BGSK[0, :, :, :stop], self.store_2BGSK[1, :, :, :stop]
