"""Squares of neighbouring rows joined into one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.spec.connector.squares import SquaresSpec
from sightline.spec.layers import Activation


class PixelShuffleSpec(SquaresSpec):
    """Each square of `side` × `side` cells becomes one row, then `depth` matrices.

    | switch | InternVL | Idefics3, SmolVLM |
    |--------|----------|-------------------|
    | side   | 2        | 2 to 4            |
    | norm   | layer    | none              |
    | depth  | 2        | 1                 |
    | bias   | yes      | no                |

    `norm` is a LayerNorm over the joined channels, before the first matrix. `activation` stands
    between matrices.
    """

    kind: Literal["pixel_shuffle"] = "pixel_shuffle"
    norm: Literal["layer", "none"] = "layer"
    norm_eps: float = Field(default=1e-5, gt=0)
    depth: Literal[1, 2] = 2
    activation: Activation = "gelu"
    bias: bool = True
