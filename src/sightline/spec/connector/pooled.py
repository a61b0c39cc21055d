"""The mean of each square of patches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.spec.connector.squares import SquaresSpec
from sightline.spec.layers import RmsNormSpec


class PooledSpec(SquaresSpec):
    """Squares of `side` × `side` patches are averaged, normed, and multiplied by one matrix.

    Gemma 3: 64 × 64 patches by squares of 4, an RMS norm times 1 + w.
    """

    kind: Literal["pooled"] = "pooled"
    side: int = Field(default=4, ge=1)
    norm: RmsNormSpec = RmsNormSpec(unit_offset=True)
