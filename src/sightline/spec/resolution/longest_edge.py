"""One view at the picture's own size."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.spec.prompt import TokenId
from sightline.spec.resolution.policy import PolicySpec


class LongestEdgeSpec(PolicySpec):
    """The picture's own size, shrunk where its longer side exceeds `edge`; both sides are then
    rounded up to `multiple` (Pixtral).

    `row_end` and `end` are ids of text after every row of visual tokens, and after the last one
    in its place ([IMG_BREAK], [IMG_END]).
    """

    kind: Literal["longest_edge"] = "longest_edge"
    edge: int = Field(ge=1)
    multiple: int = Field(ge=1)
    row_end: tuple[TokenId, ...] = ()
    end: tuple[TokenId, ...] = ()

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that a view can have."""
        return self.multiple

    @property
    def text_ids(self) -> tuple[int, ...]:
        """Ids that its layouts write."""
        return (*self.row_end, *self.end)
