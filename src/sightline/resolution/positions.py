"""Where each token of a conversation stands, as the language model counts."""

from __future__ import annotations

from typing import assert_never

from sightline.core.errors import SpecError
from sightline.spec import ModelSpec
from sightline.spec.fusion import InSequenceSpec


def positions(spec: ModelSpec, tokens: int) -> list[list[int]]:
    """One list of `tokens` positions for every axis."""
    scheme = spec.fusion.positions if isinstance(spec.fusion, InSequenceSpec) else "sequential"
    match scheme:
        case "sequential":
            return [list(range(tokens))]
        case "grid" | "shared":
            raise SpecError("fusion.positions", f"{scheme} is not built", "use sequential")
        case _:
            assert_never(scheme)
