"""Which tokens of a conversation see each other in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from sightline.spec import ModelSpec
from sightline.spec.fusion import InSequenceSpec

ALONE = -1


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each token, or -1 for one that sees only what came before.

    `in_window`: where a layer has a window, a group reaches no further back than that.
    """

    ids: tuple[int, ...]
    in_window: bool = False


def groups(
    spec: ModelSpec, tokens: int, prompt: int, runs: Sequence[tuple[int, int]]
) -> Groups | None:
    """Groups of a sequence of `tokens`, `prompt` of them before the answer; None where all is
    causal. Visual tokens stand in `runs`, (start, stop) each.

    As in transformers 5.23, the prefix of PaliGemma 2 sees itself beyond a window, a picture of
    Gemma 3 does not.
    """
    mask = spec.fusion.mask if isinstance(spec.fusion, InSequenceSpec) else "causal"
    match mask:
        case "causal":
            return None
        case "prefix":
            return Groups((0,) * prompt + (ALONE,) * (tokens - prompt))
        case "media":
            ids = [ALONE] * tokens
            for group, (start, stop) in enumerate(runs):
                ids[start:stop] = [group] * (stop - start)
            return Groups(tuple(ids), in_window=True) if runs else None
        case _:
            assert_never(mask)
