"""Values for the places of a square, on other grids."""

# N places of the square  C channels  Y, X rows and columns

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sightline.core.geometry import Grid


def stretched(table_NC: Tensor, cells: Grid) -> Tensor:
    """Values of a square as they are, or stretched bicubically to another grid."""
    side = int(table_NC.shape[0] ** 0.5)
    if cells == Grid(side, side):
        return table_NC
    table_1CYX = table_NC.T.unflatten(1, (side, side))[None].float()
    resized_1CYX = F.interpolate(
        table_1CYX, (cells.rows, cells.cols), mode="bicubic", align_corners=False
    )
    return resized_1CYX[0].flatten(1).T.to(table_NC.dtype)
