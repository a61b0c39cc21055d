"""Weight rules carried out on tensors, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor

from sightline.spec.rules import FrameKernel, Fuse, Grow, Rename, Reshape, Split, Step, Transpose


def to_ours(step: Step, disk: Sequence[Tensor]) -> list[Tensor]:
    """Our tensors from those on disk; views where possible. `Grow` gives only the old rows."""
    first = disk[0]
    match step.rule:
        case Rename() | Grow():
            return [first]
        case Reshape(lead=lead):
            return [first.reshape((1,) * -lead + first.shape[max(0, lead) :])]
        case Transpose():
            return [first.T]
        case FrameKernel():
            return [first.transpose(1, 2).flatten(1, 2)]
        case Split():
            return [torch.cat(list(disk))]
        case Fuse(rows=rows, groups=groups):
            runs = first.reshape(groups, sum(rows), *first.shape[1:])
            return [part.flatten(0, 1) for part in torch.split(runs, list(rows), dim=1)]
        case _:
            assert_never(step.rule)


def to_disk(step: Step, ours: Sequence[Tensor]) -> list[Tensor]:
    """The inverse: tensors as the published folder has them."""
    first = ours[0]
    match step.rule:
        case Rename():
            return [first]
        case Grow(rows=rows):
            return [first[:rows]]
        case Reshape(lead=lead):
            return [first.reshape((1,) * lead + first.shape[max(0, -lead) :])]
        case Transpose():
            return [first.T]
        case FrameKernel(frames=frames):
            return [first.reshape(len(first), frames, -1, *first.shape[2:]).transpose(1, 2)]
        case Split(rows=rows):
            return list(torch.split(first, list(rows)))
        case Fuse(groups=groups):
            runs = [part.reshape(groups, -1, *part.shape[1:]) for part in ours]
            return [torch.cat(runs, dim=1).flatten(0, 1)]
        case _:
            assert_never(step.rule)
