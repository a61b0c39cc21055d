"""A fixed number of learned queries that read a view."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec
from sightline.core.geometry import Grid
from sightline.spec.layers import Activation


class ResamplerSpec(Spec):
    """Perceiver resampler: `latents` of the encoder's width read a view in `depth` blocks.

    | switch     | Flamingo (Alayrac et al. 2022) | IDEFICS |
    |------------|--------------------------------|---------|
    | latents    | 64                             | 64      |
    | depth      | 6                              | 6       |
    | heads      | 8 of 64                        | 16 of 96|
    | qk_norm    | none                           | layer (80B: none) |
    | activation | gelu                           | relu    |

    In each block they attend to the view and to themselves, then pass an MLP of `mlp_ratio` times
    the width; a norm ends it, and one matrix where the width asked for is another.
    """

    kind: Literal["resampler"] = "resampler"
    latents: int = Field(default=64, ge=1)
    depth: int = Field(default=6, ge=1)
    heads: int = Field(default=8, ge=1)
    head_dim: int = Field(default=64, ge=1)
    qk_norm: Literal["none", "layer"] = "none"
    activation: Activation = "gelu"
    mlp_ratio: int = Field(default=4, ge=1)

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view with `rows` encoder rows, `cells` of them a grid."""
        return self.latents

    def grid(self, cells: Grid) -> Grid:
        """One row: latents have no place in the picture."""
        return Grid(1, self.latents)
