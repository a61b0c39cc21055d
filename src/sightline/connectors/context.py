"""What a connector may know of the views whose features it is given."""

# V views  L words

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.core.geometry import Grid


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the user said beside each view: int64[V, L] ids, bool[V, L] which are no padding."""

    ids_VL: Tensor
    present_VL: Tensor

    @classmethod
    def of(cls, told: Sequence[Sequence[int]], device: torch.device) -> Instruction | None:
        """The ids of each view side by side, padded on the right; None where nothing was said."""
        longest = max(map(len, told), default=0)
        if longest == 0:
            return None
        ids_VL = torch.zeros(len(told), longest, dtype=torch.int64)
        present_VL = torch.zeros(len(told), longest, dtype=torch.bool)
        for row, ids in enumerate(told):
            ids_VL[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
            present_VL[row, : len(ids)] = True
        return cls(ids_VL.to(device), present_VL.to(device))


@dataclass(frozen=True, slots=True)
class ViewContext:
    """Views of one size: `cells` is the grid that the encoder made of each.

    `instruction` is given to connectors that read one.
    """

    cells: Grid
    instruction: Instruction | None = None
