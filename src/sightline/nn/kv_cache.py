"""Keys and values of tokens already seen, contiguous, handed to blocks one layer at a time."""

# B batch  G key/value heads  S capacity  T new tokens  K head dim

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.nn.memory import Memory


class KvCache:
    """Room for `capacity` tokens of `batch` sequences in every layer.

    Columns are shared by the batch (shorter sequences are padded on the left and masked). Layers
    that read a memory keep its keys and values beside these, as many as there are.
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
        self.memory: dict[int, tuple[Tensor, Tensor]] = {}
        self.reads: Memory | None = None  # what the next token reads of it
        self.capacity = capacity
        self.length = 0
        self._layers = self._cut()

    def layer(self, index: int) -> LayerKv:
        """The view of one block; it reads `length` columns and writes after them."""
        keys_BGSK, values_BGSK = self._layers[index]
        return LayerKv(keys_BGSK, values_BGSK, self.length, self.memory, index)

    def advance(self, tokens: int) -> None:
        """Count the columns that every layer has written in this pass."""
        self.length += tokens

    def select(self, rows_B: Tensor) -> None:
        """Keep (and repeat) sequences by row, as beam search needs."""
        self.store_L2BGSK = self.store_L2BGSK.index_select(2, rows_B)
        self._layers = self._cut()
        for layer, (keys, values) in self.memory.items():
            self.memory[layer] = keys[rows_B], values[rows_B]
        self.reads = None if self.reads is None else self.reads.select(rows_B)

    def _cut(self) -> list[tuple[Tensor, ...]]:
        """Views of each layer's keys and values, made once and not for every token."""
        return [layer_2BGSK.unbind() for layer_2BGSK in self.store_L2BGSK]

    @property
    def num_bytes(self) -> int:
        return self.store_L2BGSK.nbytes + sum(k.nbytes + v.nbytes for k, v in self.memory.values())


@dataclass(frozen=True, slots=True)
class LayerKv:
    """One layer's keys and values, of the sequence and of its memory."""

    keys_BGSK: Tensor
    values_BGSK: Tensor
    length: int
    memory: dict[int, tuple[Tensor, Tensor]]
    index: int

    def append(self, k_BTGK: Tensor, v_BTGK: Tensor) -> tuple[Tensor, Tensor]:
        """Write new columns; returns keys and values [B, G, length + T, K]."""
        return self._write(self.keys_BGSK, k_BTGK), self._write(self.values_BGSK, v_BTGK)

    def memorise(self, k_BGMK: Tensor, v_BGMK: Tensor) -> None:
        """Keep keys and values of the memory, for all tokens to come."""
        self.memory[self.index] = k_BGMK.contiguous(), v_BGMK.contiguous()

    def recall(self) -> tuple[Tensor, Tensor]:
        """Keys and values [B, G, M, K] of the memory."""
        return self.memory[self.index]

    def _write(self, store_BGSK: Tensor, new_BTGK: Tensor) -> Tensor:
        tokens = new_BTGK.shape[1]
        stop = self.length + tokens
        if stop > store_BGSK.shape[2]:
            raise IndexError(f"cache of {store_BGSK.shape[2]} columns asked for {stop}")
        store_BGSK.narrow(2, self.length, tokens).copy_(new_BTGK.transpose(1, 2))
        return store_BGSK.narrow(2, 0, stop)
