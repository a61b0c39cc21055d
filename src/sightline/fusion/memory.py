"""From visual rows to memory: padded side by side or end to end, with what each token reads."""

# B batch  T tokens  M memory rows of the longest conversation  N rows of all  D memory width

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sightline.core.errors import PlaceholderMismatch
from sightline.nn.masks import BoundMask, Run
from sightline.nn.memory import Memory
from sightline.resolution.layout import Features, MediaLayout, VisualLayout
from sightline.spec.fusion import CrossAttentionSpec

NOBODY, BACKDROP = 0, -1  # owners of rows that pad a batch, and of rows that show no picture


def remembered(
    spec: CrossAttentionSpec,
    latest_BT: Tensor,
    layouts: Sequence[VisualLayout],
    rows_ND: Tensor,
    lengths: Sequence[int] | None = None,
) -> Memory | None:
    """The memory of a batch; None where no block has anything to do.

    latest_BT: int64, number of the latest media item of its conversation begun at or before each
    token, from 1; 0 before any. rows_ND: the rows of all layouts, in order. lengths: tokens of each
    conversation of a packed row; without them each is a row.

    Raises PlaceholderMismatch if the counts differ.
    """
    owners = [_owners(layout) for layout in layouts]
    counts = [len(each) for each in owners]
    if sum(counts) != rows_ND.shape[0]:
        raise PlaceholderMismatch(
            "visual memory",
            f"the layouts hold {sum(counts)} rows, the connector emits {rows_ND.shape[0]}",
            "prepare prompt and pixels from the same layout",
        )
    if spec.blind == "everything" and not any(counts):
        return None
    if lengths is not None:
        return _end_to_end(spec, latest_BT, owners, rows_ND, lengths)
    rows_BMD = pad_sequence(list(rows_ND.split(counts)), batch_first=True)
    padded = [each + [NOBODY] * (max(counts) - len(each)) for each in owners]
    owner_B1M = torch.tensor(padded, dtype=torch.int64, device=latest_BT.device)[:, None]
    return _read(spec, latest_BT, owner_B1M, rows_BMD)


def unread(spec: CrossAttentionSpec, nobody_BT: Tensor, rows_ND: Tensor) -> Memory:
    """A memory that every token looks at and none takes anything from, nor from the MLP behind it:
    the blocks run, change nothing, and give gradients that are zero. nobody_BT: all False."""
    nobody_BT1 = nobody_BT[..., None]
    rows_BMD = rows_ND.expand(len(nobody_BT), -1, -1)
    thinks_BT1 = None if spec.blind == "nothing" else nobody_BT1
    return Memory(rows_BMD, BoundMask(), nobody_BT1, thinks_BT1)


def _end_to_end(
    spec: CrossAttentionSpec,
    latest_1T: Tensor,
    owners: Sequence[Sequence[int]],
    rows_ND: Tensor,
    lengths: Sequence[int],
) -> Memory:
    """Each conversation reads what it would read alone."""
    counts = [len(own) for own in owners]
    parts = zip(latest_1T.split(list(lengths), 1), owners, rows_ND.split(counts), strict=True)
    each = [
        _read(
            spec, latest, torch.tensor([[own]], dtype=torch.int64, device=latest.device), rows[None]
        )
        for latest, own, rows in parts
    ]
    runs = (
        Run(1, length, count, one.mask)
        for length, count, one in zip(lengths, counts, each, strict=True)
    )
    thinks = [one.thinks_BT1 for one in each if one.thinks_BT1 is not None]
    return Memory(
        rows_ND[None],
        BoundMask(runs=tuple(runs)),
        torch.cat([one.reads_BT1 for one in each], 1),
        torch.cat(thinks, 1) if thinks else None,
    )


def _read(
    spec: CrossAttentionSpec, latest_BT: Tensor, owner_B1M: Tensor, rows_BMD: Tensor
) -> Memory:
    first_BT1 = _first_seen(spec, latest_BT)[..., None]
    sees_BT1 = latest_BT[..., None] > 0
    seen_BTM = (owner_B1M > 0) & (owner_B1M >= first_BT1) & (owner_B1M <= latest_BT[..., None])
    match spec.blind:
        case "nothing":
            allowed_BTM = seen_BTM | ~sees_BT1
            return Memory(rows_BMD, BoundMask(allowed_B1TS=allowed_BTM[:, None]), sees_BT1)
        case "everything":
            own_B1M = owner_B1M != NOBODY
            has_B11 = own_B1M.any(-1, keepdim=True)
            allowed_BTM = torch.where(sees_BT1, seen_BTM, own_B1M | ~has_B11)
            mask, reads_BT1 = (
                BoundMask(allowed_B1TS=allowed_BTM[:, None]),
                has_B11.expand_as(sees_BT1),
            )
            return Memory(rows_BMD, mask, reads_BT1, sees_BT1)
        case _:
            assert_never(spec.blind)


def _first_seen(spec: CrossAttentionSpec, latest_BT: Tensor) -> Tensor:
    """The first of the items that a token reads; the last is the latest."""
    match spec.sees:
        case "latest":
            return latest_BT
        case "all":
            return torch.ones_like(latest_BT)
        case "run":
            before_BT = torch.nn.functional.pad(latest_BT[:, :-1], (1, 0))
            begins_BT = latest_BT > before_BT
            follows_BT = torch.nn.functional.pad(begins_BT[:, :-1], (1, 0))
            return torch.where(begins_BT & ~follows_BT, latest_BT, 0).cummax(-1).values
        case _:
            assert_never(spec.sees)


def _owners(layout: VisualLayout) -> list[int]:
    """The media item of each memory row of a conversation, from 1."""
    return [owner for i, item in enumerate(layout.media, 1) for owner in _of_item(i, item)]


def _of_item(number: int, item: MediaLayout) -> list[int]:
    owners: list[int] = []
    for segment in item.memory:
        unseen = segment.padding if isinstance(segment, Features) else 0
        owners += [number] * (segment.tokens - unseen) + [BACKDROP] * unseen
    return owners
