"""Attention inside square windows of a grid of patches (Qwen2.5-VL)."""

# V views  N patches, row-major  Y, X patch rows and columns  H heads  K head dim

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from sightline.core.geometry import Grid
from sightline.nn.attention import attend
from sightline.nn.masks import BoundMask

Block = tuple[slice, slice, Grid]


def attend_in_windows(
    q_VNHK: Tensor, k_VNHK: Tensor, v_VNHK: Tensor, grid: Grid, side: int, scale: float
) -> Tensor:
    """Attention [V, N, H*K] where a patch sees its window of `side` × `side` patches.

    Windows start at the first patch; those at the far borders are what is left. Equal windows of
    all views run as one batch: at most four of them, and no row is moved out of its order.
    """
    sheets = [x.unflatten(1, (grid.rows, grid.cols)) for x in (q_VNHK, k_VNHK, v_VNHK)]
    out_VYXD = q_VNHK.new_empty(len(q_VNHK), grid.rows, grid.cols, q_VNHK[0, 0].numel())
    for rows, cols, window in window_blocks(grid, side):
        q, k, v = (_cut(sheet[:, rows, cols], window) for sheet in sheets)
        seen = attend(q, k.transpose(1, 2), v.transpose(1, 2), BoundMask(), scale)
        out_VYXD[:, rows, cols] = _joined(seen, out_VYXD[:, rows, cols], window)
    return out_VYXD.flatten(1, 2)


def window_blocks(grid: Grid, side: int) -> Iterator[Block]:
    """Rectangles of the grid that hold windows of one size, with that size."""
    for rows, height in _runs(grid.rows, side):
        for cols, width in _runs(grid.cols, side):
            yield rows, cols, Grid(height, width)


def _runs(length: int, side: int) -> Iterator[tuple[slice, int]]:
    whole = length - length % side
    if whole:
        yield slice(0, whole), side
    if whole < length:
        yield slice(whole, length), length - whole


def _cut(part_VYXHK: Tensor, window: Grid) -> Tensor:
    """[V, Y, X, H, K] -> [V · windows, patches of a window, H, K]."""
    split = part_VYXHK.unflatten(2, (-1, window.cols)).unflatten(1, (-1, window.rows))
    return split.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def _joined(windows: Tensor, like_VYXD: Tensor, window: Grid) -> Tensor:
    """The inverse, in the shape of `like_VYXD`."""
    views, rows, cols, width = like_VYXD.shape
    split = windows.view(
        views, rows // window.rows, cols // window.cols, window.rows, window.cols, width
    )
    return split.transpose(2, 3).reshape(views, rows, cols, width)
