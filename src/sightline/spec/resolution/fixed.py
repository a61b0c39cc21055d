"""One square view."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.errors import SpecError
from sightline.spec.resolution.policy import PolicySpec


class FixedSpec(PolicySpec):
    """Every picture becomes one view of `size` × `size` pixels.

    fit: `squash` ignores the aspect ratio; `crop` scales the shortest edge to `shortest_edge`
    (default: size) and cuts the centre; `pad` puts the picture on a square of the mean colour.
    `ends` name learned vectors before and after the tokens of each view (CogVLM).
    """

    kind: Literal["fixed"] = "fixed"
    size: int = Field(ge=1)
    fit: Literal["squash", "crop", "pad"] = "squash"
    shortest_edge: int | None = Field(default=None, ge=1)
    ends: tuple[str, str] | None = None

    @model_validator(mode="after")
    def _edge_belongs_to_crop(self) -> FixedSpec:
        if self.shortest_edge is not None and self.fit != "crop":
            raise SpecError("shortest_edge", f"has no meaning with fit={self.fit}", "remove it")
        return self

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the learned vectors that its layouts use."""
        return tuple(dict.fromkeys(self.ends or ()))

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that a view can have."""
        return self.size
