"""What is added to a token's embedding for the place where it stands."""

# B batch  T tokens  D width

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LearnedPositions(nn.Module):
    """One learned vector for each of `context` places, after `offset` rows that none has."""

    def __init__(self, context: int, offset: int, width: int) -> None:
        super().__init__()
        self.offset = offset
        self.weight = nn.Parameter(torch.empty(offset + context, width))

    def forward(self, positions_BT: Tensor) -> Tensor:
        """int64[B, T] -> [B, T, D]."""
        return F.embedding(positions_BT + self.offset, self.weight)
