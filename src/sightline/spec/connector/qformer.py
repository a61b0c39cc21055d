"""Learned queries that read a view through a small BERT."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec.layers import Activation


class InstructionSpec(Spec):
    """What the queries read beside the view: the user's words, in a vocabulary of their own."""

    vocab: int = Field(ge=1)
    context: int = Field(default=512, ge=1, description="most tokens of an instruction")


class QFormerSpec(Spec):
    """The Querying Transformer (BLIP-2, Li et al. 2023): `queries` visual tokens for each view.

    Blocks are BERT's, a norm after each branch; every `cross_every`-th, from the first on, also
    attends to the view. With an `instruction` the queries see the user's words in each
    self-attention, and words have feed-forwards of their own (InstructBLIP, Dai et al. 2023).
    """

    kind: Literal["qformer"] = "qformer"
    queries: int = Field(default=32, ge=1)
    width: int = Field(default=768, ge=1)
    depth: int = Field(default=12, ge=1)
    heads: int = Field(default=12, ge=1)
    mlp_width: int = Field(default=3072, ge=1)
    activation: Activation = "gelu"
    cross_every: int = Field(default=2, ge=1)
    norm_eps: float = Field(default=1e-12, gt=0)
    instruction: InstructionSpec | None = None

    @model_validator(mode="after")
    def _divides(self) -> QFormerSpec:
        if self.width % self.heads:
            raise SpecError(
                "heads", f"{self.heads} does not divide width {self.width}", "choose a divisor"
            )
        return self

    @property
    def crossing(self) -> tuple[int, ...]:
        """The blocks that attend to the view."""
        return tuple(range(0, self.depth, self.cross_every))

    def tokens(self, rows: int, cells: Grid) -> int:
        """Visual tokens of a view: one for each query."""
        return self.queries

    def grid(self, cells: Grid) -> Grid:
        """Queries have no place in the picture: one row."""
        return Grid(1, self.queries)
