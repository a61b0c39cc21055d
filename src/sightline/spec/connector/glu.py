"""A matrix, then a gated feed-forward."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.geometry import Grid


class GluSpec(Spec):
    """down(silu(gate h) · up h) of h = GELU(LayerNorm(x W)) (CogVLM), no biases.

    `hidden` is the width between gate and down (CogVLM: that of the language model's own MLP).
    """

    kind: Literal["glu"] = "glu"
    hidden: int = Field(ge=1)
    norm_eps: float = Field(default=1e-5, gt=0)

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view with `rows` encoder rows, `cells` of them a grid."""
        return rows

    def grid(self, cells: Grid) -> Grid:
        """Rows and columns that the visual tokens of a view form."""
        return cells
