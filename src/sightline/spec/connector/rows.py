"""Bridges that treat every row alike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.geometry import Grid
from sightline.spec.layers import Activation


class LinearSpec(Spec):
    """One matrix (LLaVA v1, PaliGemma)."""

    kind: Literal["linear"] = "linear"
    bias: bool = True

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view with `rows` encoder rows, `cells` of them a grid."""
        return rows

    def grid(self, cells: Grid) -> Grid:
        """Rows and columns that the visual tokens of a view form."""
        return cells


class MlpSpec(Spec):
    """`depth` matrices with an activation between them (LLaVA 1.5: depth 2, exact GELU).

    `hidden` is the inner width; None means the language width. `norms` puts a layer norm (epsilon
    1e-5) after each matrix (Yi-VL).
    """

    kind: Literal["mlp"] = "mlp"
    depth: int = Field(default=2, ge=1, le=3)
    activation: Activation = "gelu"
    hidden: int | None = Field(default=None, ge=1)
    bias: bool = True
    norms: bool = False

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view with `rows` encoder rows, `cells` of them a grid."""
        return rows

    def grid(self, cells: Grid) -> Grid:
        """Rows and columns that the visual tokens of a view form."""
        return cells
