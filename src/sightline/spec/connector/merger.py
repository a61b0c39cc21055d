"""Squares of neighbouring rows merged by a network as wide as they are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.spec.connector.squares import SquaresSpec
from sightline.spec.layers import LayerNormSpec, NormSpec, RmsNormSpec


class MergerSpec(SquaresSpec):
    """A norm of every row, `side` × `side` rows joined, two matrices with GELU between (Qwen2-VL).

    The inner width is that of the joined rows. `norm`: `layer`, or `rms` (Qwen2.5-VL).
    `levels`: how many deeper features follow the encoder's last on the channel axis (DeepStack,
    Meng et al. 2024; Qwen3-VL); each has a merger of its own, which normalises the joined rows,
    and a visual token is the last features' values, then those of the levels in order.
    """

    kind: Literal["merger"] = "merger"
    norm: Literal["layer", "rms"] = "layer"
    norm_eps: float = Field(default=1e-6, gt=0)
    levels: int = Field(default=0, ge=0)

    @property
    def norm_spec(self) -> NormSpec:
        """The norm of every merger."""
        if self.norm == "rms":
            return RmsNormSpec(eps=self.norm_eps)
        return LayerNormSpec(eps=self.norm_eps)
