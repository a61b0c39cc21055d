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
        keys_BGSK, values_BGSK = self.store_L2BGSK[index].unbind()
        return LayerKv(keys_BGSK, values_BGSK, self.length)

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

    keys_BGSK: Tensor
    values_BGSK: Tensor
    length: int

    def append(self, k_BTGK: Tensor, v_BTGK: Tensor) -> tuple[Tensor, Tensor]:
        """Write new columns; returns keys and values [B, G, length + T, K]."""
        return self._write(self.keys_BGSK, k_BTGK), self._write(self.values_BGSK, v_BTGK)

    def _write(self, store_BGSK: Tensor, new_BTGK: Tensor) -> Tensor:
        tokens = new_BTGK.shape[1]
        stop = self.length + tokens
        if stop > store_BGSK.shape[2]:
            raise IndexError(f"cache of {store_BGSK.shape[2]} columns asked for {stop}")
        store_BGSK.narrow(2, self.length, tokens).copy_(new_BTGK.transpose(1, 2))
        return store_BGSK.narrow(2, 0, stop)
