"""What a block may know of the pass it runs in."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from sightline.nn.kv_cache import LayerKv
from sightline.nn.masks import BoundMask
from sightline.nn.memory import Memory
from sightline.nn.rope import Rotary


@dataclass(frozen=True, slots=True)
class BlockContext:
    """Positions, mask, this layer's cache view, visual memory and which rows are visual.

    memory: what blocks of cross-attention read; visual_BT: bool, rows that are visual.
    rotary: None where positions are not rotary.
    deep_NE: features that fusion adds to visual rows layer by layer, one row for each of them.
    lengths: of the documents that lie end to end in a packed row.
    last_only: only the last row leaves the block; every row still gives keys and values.
    idle: parts that no row needs run on none, because they run in other processes.
    """

    rotary: Rotary | None
    mask: BoundMask
    kv: LayerKv | None = None
    memory: Memory | None = None
    visual_BT: Tensor | None = None
    deep_NE: Tensor | None = None
    lengths: tuple[int, ...] | None = None
    last_only: bool = False
    idle: bool = False

    def wanted(self, x: Tensor) -> Tensor:
        """The rows of x[B, T, ...] that are needed beyond keys and values."""
        return x[:, -1:] if self.last_only else x

    def for_last_row(self, mask: BoundMask) -> BlockContext:
        """The same pass where only the last row is wanted, which sees what `mask` says."""
        return replace(self, mask=mask, last_only=True)
