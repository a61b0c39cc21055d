"""Prepared sequences side by side."""

# B sequences  T tokens  A position axes

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from sightline.model.visual import VisualInput
from sightline.nn.masks import PADDING, Mask


class Sequenced(Protocol):
    """What a batch needs of one prepared conversation."""

    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def visual_T(self) -> Tensor: ...
    @property
    def positions_AT(self) -> Tensor: ...
    @property
    def visual(self) -> VisualInput: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """token_ids int64[B, T]; visual bool[B, T] marks placeholders; positions int64[A, B, T];
    visuals: what each row shows."""

    token_ids_BT: Tensor
    visual_BT: Tensor
    positions_ABT: Tensor
    mask: Mask
    visuals: tuple[VisualInput, ...] = ()

    @property
    def pixels(self) -> tuple[Tensor, ...]:
        """All views, in the order of the rows."""
        return tuple(view for visual in self.visuals for view in visual.pixels)

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """On `device`, pixels in `dtype`."""
        return Batch(
            self.token_ids_BT.to(device),
            self.visual_BT.to(device),
            self.positions_ABT.to(device),
            self.mask.with_tables(lambda table: table.to(device)),
            tuple(visual.to(device, dtype) for visual in self.visuals),
        )


def collate(items: Sequence[Sequenced], pad_id: int, side: Literal["left", "right"]) -> Batch:
    """Pad to the longest on one side; padding belongs to no document and is seen by nobody."""
    lengths = [len(item.token_ids) for item in items]
    longest = max(lengths)
    batch, axes = len(items), items[0].positions_AT.shape[0]
    token_ids_BT = torch.full((batch, longest), pad_id, dtype=torch.int64)
    visual_BT = torch.zeros(batch, longest, dtype=torch.bool)
    positions_ABT = torch.zeros(axes, batch, longest, dtype=torch.int64)
    document_BS = torch.full((batch, longest), PADDING, dtype=torch.int64)
    for row, (item, length) in enumerate(zip(items, lengths, strict=True)):
        span = slice(longest - length, None) if side == "left" else slice(0, length)
        token_ids_BT[row, span] = torch.tensor(item.token_ids, dtype=torch.int64)
        visual_BT[row, span] = item.visual_T
        positions_ABT[:, row, span] = item.positions_AT
        document_BS[row, span] = 0
    even = min(lengths) == longest
    return Batch(
        token_ids_BT,
        visual_BT,
        positions_ABT,
        Mask(document_BS=None if even else document_BS),
        tuple(item.visual for item in items),
    )
