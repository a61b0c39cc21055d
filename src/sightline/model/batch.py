"""Prepared sequences side by side, or end to end."""

# B sequences  T tokens  A position axes

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, Protocol

import torch
from torch import Tensor

from sightline.model.visual import Idle, VisualInput
from sightline.nn.masks import PADDING, Mask
from sightline.prompt.encode import Span
from sightline.resolution.groups import ALONE, Groups


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
    @property
    def spans(self) -> Sequence[Span]: ...
    @property
    def groups(self) -> Groups | None: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """token_ids int64[B, T]; visual bool[B, T] marks placeholders; positions int64[A, B, T];
    visuals: what each document shows, in order; latest int64[B, T]: number of the latest media item
    of its document begun at or before each token, from 1, where items have a memory;
    idle: what runs for no row, in one of several processes.

    A document is a row, or in a packed batch one of those that `mask.lengths` counts."""

    token_ids_BT: Tensor
    visual_BT: Tensor
    positions_ABT: Tensor
    mask: Mask
    visuals: tuple[VisualInput, ...] = ()
    latest_BT: Tensor | None = None
    idle: Idle | None = None

    @property
    def pixels(self) -> tuple[Tensor, ...]:
        """All views, in the order of the rows."""
        return tuple(view for visual in self.visuals for view in visual.pixels)

    @property
    def first_BT(self) -> Tensor:
        """bool[B, T]: tokens that nothing of their document stands before."""
        first_BT = torch.zeros_like(self.token_ids_BT, dtype=torch.bool)
        lengths = self.mask.lengths
        if lengths is not None:
            first_BT[0, list(accumulate(lengths[:-1], initial=0))] = True
        elif (document_BS := self.mask.document_BS) is not None:
            first_BT[:, 0] = True
            first_BT[:, 1:] = document_BS[:, 1:] != document_BS[:, :-1]
        else:
            first_BT[:, 0] = True
        return first_BT

    @property
    def visual_tokens(self) -> int:
        """Those of all rows, in the sequence or beside it in a memory."""
        laid = (visual.layout for visual in self.visuals)
        return sum(layout.visual_tokens + layout.memory_tokens for layout in laid)

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """On `device`, pixels in `dtype`."""
        return Batch(
            self.token_ids_BT.to(device),
            self.visual_BT.to(device),
            self.positions_ABT.to(device),
            self.mask.with_tables(lambda table: table.to(device)),
            tuple(visual.to(device, dtype) for visual in self.visuals),
            None if self.latest_BT is None else self.latest_BT.to(device),
            None if self.idle is None else self.idle.to(device, dtype),
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
    reads = any(item.visual.layout.memory_tokens for item in items)
    return Batch(
        token_ids_BT,
        visual_BT,
        positions_ABT,
        _mask(items, None if even else document_BS, longest, side),
        tuple(item.visual for item in items),
        _latest(items, longest, side) if reads else None,
    )


def pack(items: Sequence[Sequenced]) -> Batch:
    """End to end in one row, nothing padded: each keeps its positions, and sees only itself.

    The passes of training attend document by document, so that cost grows with the squares of
    their lengths, not with that of the row. `sightline.spec.packing.packing_refusal` says which
    models cannot be packed.
    """
    each = [collate([item], 0, "right") for item in items]
    lengths = tuple(len(item.token_ids) for item in items)
    reads = any(one.latest_BT is not None for one in each)
    latest = (torch.zeros_like(one.token_ids_BT) if one.latest_BT is None else one.latest_BT
              for one in each)  # fmt: skip
    return Batch(
        torch.cat([one.token_ids_BT for one in each], 1),
        torch.cat([one.visual_BT for one in each], 1),
        torch.cat([one.positions_ABT for one in each], 2),
        _end_to_end([one.mask for one in each], lengths),
        tuple(item.visual for item in items),
        torch.cat(list(latest), 1) if reads else None,
    )


def _end_to_end(masks: Sequence[Mask], lengths: tuple[int, ...]) -> Mask:
    """One mask of many; groups are numbered anew, so that no two documents share one."""
    numbers = torch.arange(len(lengths))
    document_BS = numbers.repeat_interleave(torch.tensor(lengths))[None]
    mask = Mask(document_BS=document_BS, lengths=lengths)
    if all(one.group_BS is None for one in masks):
        return mask
    groups, taken = [], 0
    for one, length in zip(masks, lengths, strict=True):
        own_BT = torch.full((1, length), ALONE) if one.group_BS is None else one.group_BS
        groups.append(own_BT + taken * (own_BT != ALONE))
        taken += int(own_BT.max()) + 1
    in_window = any(one.groups_in_window for one in masks)
    return replace(mask, group_BS=torch.cat(groups, 1), groups_in_window=in_window)


def _mask(
    items: Sequence[Sequenced],
    document_BS: Tensor | None,
    longest: int,
    side: Literal["left", "right"],
) -> Mask:
    if all(item.groups is None for item in items):
        return Mask(document_BS=document_BS)
    group_BS = torch.full((len(items), longest), ALONE, dtype=torch.int64)
    for row, item in enumerate(items):
        if item.groups is not None:
            offset = longest - len(item.token_ids) if side == "left" else 0
            ids_T = torch.tensor(item.groups.ids, dtype=torch.int64)
            group_BS[row, offset : offset + len(ids_T)] = ids_T
    in_window = any(item.groups is not None and item.groups.in_window for item in items)
    return Mask(document_BS=document_BS, group_BS=group_BS, groups_in_window=in_window)


def _latest(items: Sequence[Sequenced], longest: int, side: Literal["left", "right"]) -> Tensor:
    latest_BT = torch.zeros(len(items), longest, dtype=torch.int64)
    for row, item in enumerate(items):
        offset = longest - len(item.token_ids) if side == "left" else 0
        for span in item.spans:
            latest_BT[row, offset + span.start :] = span.media + 1
    return latest_BT
