"""What a block may know of the pass it runs in."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sightline.nn.kv_cache import LayerKv
from sightline.nn.masks import BoundMask
from sightline.nn.rope import Rotary


@dataclass(frozen=True, slots=True)
class BlockContext:
    """Positions, mask, this layer's cache view, visual memory and which rows are visual.

    memory_BMD: rows of visual memory for cross-attention; visual_BT: bool, rows that are visual.
    """

    rotary: Rotary
    mask: BoundMask
    kv: LayerKv | None = None
    memory_BMD: Tensor | None = None
    visual_BT: Tensor | None = None
