"""Squares of patches joined by one matrix, then an MLP."""

from __future__ import annotations

from typing import Literal

from sightline.spec.connector.squares import SquaresSpec
from sightline.spec.layers import Activation, RmsNormSpec


class PatchMergerSpec(SquaresSpec):
    """A norm of every row, `side` × `side` of them joined by a matrix, then two matrices with an
    activation between (Mistral Small 3.1).

    The joining matrix has no bias and keeps the encoder's width; `bias` is that of the two others.
    """

    kind: Literal["patch_merger"] = "patch_merger"
    norm: RmsNormSpec = RmsNormSpec(eps=1e-5)
    activation: Activation = "gelu"
    bias: bool = False
