"""Rotary positions of patches: rows and columns turn the heads of a vision transformer."""

# N patches of a view, row-major  R rotated dims (the whole head)  F frequencies of one axis

from __future__ import annotations

import torch
from torch import Tensor

from sightline.core.geometry import Grid
from sightline.nn.rope import Rotary
from sightline.spec.vision import VitSpec


def patch_rotary(spec: VitSpec, grid: Grid, device: torch.device) -> Rotary | None:
    """Rotations of the patches of one view, float32, or None where nothing turns."""
    if spec.rope == "absent":
        return None
    angles_NF2 = patch_angles(spec, grid).to(device)
    angles_1N1R = torch.cat((angles_NF2, angles_NF2), -1)[None, :, None]
    return Rotary(angles_1N1R.cos(), angles_1N1R.sin())


def patch_angles(spec: VitSpec, grid: Grid) -> Tensor:
    """float32[N, R/2]: half of the pairs turn with the row, half with the column.

    Both axes have the same R/4 frequencies (Qwen2-VL), or columns have those between the rows'
    (Pixtral).
    """
    pairs = spec.head_dim // 2
    exponents_F = torch.arange(0, pairs, 2).float() / pairs
    by_row_F = by_col_F = 1.0 / spec.rope_theta**exponents_F
    if spec.rope == "alternate":
        by_col_F = 1.0 / spec.rope_theta ** (exponents_F + 1 / pairs)
    rows_N = torch.arange(grid.rows).repeat_interleave(grid.cols).float()
    cols_N = torch.arange(grid.cols).repeat(grid.rows).float()
    return torch.cat((rows_N[:, None] * by_row_F, cols_N[:, None] * by_col_F), -1)
