"""Parameters by name, shape and role, and those of the pieces that every part has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from sightline.spec.layers import LayerNormSpec, NormSpec, RmsNormSpec

Role = Literal["linear", "patch", "embedding", "head", "vector", "module", "conv", "memory"]


@dataclass(frozen=True, slots=True)
class Weight:
    """`copies` tensors of one shape; `{i}` in the name runs over the copies.

    role: `linear` multiplies every row, `memory` every row of visual memory; weight formats and
    adapters apply to both. `patch` multiplies every patch, `head` the rows whose logits are wanted;
    an `embedding` is looked up; a `vector` (norm, bias, scale, token, position) costs next to
    nothing; a `module` is the user's own, of which only the size is known.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    copies: int = 1

    @property
    def size(self) -> int:
        """Numbers in one copy."""
        return math.prod(self.shape)

    @property
    def count(self) -> int:
        """Numbers in all copies."""
        return self.size * self.copies

    def names(self) -> Iterator[str]:
        """The name of each copy."""
        return (self.name.replace("{i}", str(i)) for i in range(self.copies))


def count(found: Iterable[Weight]) -> int:
    """Numbers in all of them."""
    return sum(weight.count for weight in found)


def matrices(found: Iterable[Weight], role: Role = "linear") -> int:
    """Numbers in those of one role: half the FLOPs of a row that passes all of them."""
    return sum(weight.count for weight in found if weight.role == role)


def mlp_weights(
    name: str, width: int, inner: int, copies: int, *, gated: bool, bias: bool
) -> Iterator[Weight]:
    """A feed-forward, gated or plain."""
    for part in ("gate", "up") if gated else ("up",):
        yield from linear_weights(f"{name}.{part}", width, inner, bias, copies)
    yield from linear_weights(f"{name}.down", inner, width, bias, copies)


def linear_weights(
    name: str, inputs: int, outputs: int, bias: bool, copies: int = 1
) -> Iterator[Weight]:
    """A matrix and its bias."""
    yield Weight(f"{name}.weight", (outputs, inputs), "linear", copies)
    if bias:
        yield Weight(f"{name}.bias", (outputs,), "vector", copies)


def norm_weights(name: str, spec: NormSpec, width: int, copies: int = 1) -> Iterator[Weight]:
    """A norm\'s weight, and its bias if it has one."""
    yield Weight(f"{name}.weight", (width,), "vector", copies)
    match spec:
        case RmsNormSpec():
            pass
        case LayerNormSpec():
            yield Weight(f"{name}.bias", (width,), "vector", copies)
        case _:
            assert_never(spec)
