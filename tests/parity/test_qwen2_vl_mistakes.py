"""Mistakes in Qwen2-VL, Qwen2.5-VL and Qwen3-VL that the comparison must see, by a margin."""

# T tokens  N visual tokens  D width

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.parity import qwen2_vl as qwen
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE
from torch import Tensor

from sightline.families import Declared, read_spec
from sightline.model import vlm
from sightline.model.vlm import Vlm
from sightline.vision import rope2d, window
from sightline.weights import load

KINDS = list(qwen.KINDS)
SEEN = 5 * TOLERANCE
Break = Callable[[Vlm, pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, qwen.Pair]:
    return {kind: qwen.pair(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def spec_change(part: str, **values: Any) -> Callable[[Declared], Declared]:
    """The same weights under another declaration."""

    def change(declared: Declared) -> Declared:
        spec = getattr(declared, part)
        nested = {k: getattr(spec, k).model_copy(update=v) for k, v in values.items()
                  if isinstance(v, dict)}  # fmt: skip
        return replace(declared, **{part: spec.model_copy(update={**values, **nested})})

    return change


def sections(*dealt: int) -> Callable[[Declared], Declared]:
    return spec_change("language", positions={"sections": dealt})


SPEC_MISTAKES: dict[str, tuple[str, Callable[[Declared], Declared]]] = {
    "patches do not turn": ("qwen2_vl", spec_change("vision", rope="absent")),
    "patches turn faster": ("qwen2_vl", spec_change("vision", rope_theta=100.0)),
    "encoder activation": ("qwen2_vl", spec_change("vision", activation="gelu")),
    "encoder norm eps": ("qwen2_vl", spec_change("vision", norm_eps=0.1)),
    "merger norm eps": ("qwen2_vl", spec_change("connector", norm_eps=0.1)),
    "sections in another order": ("qwen2_vl", sections(1, 1, 2)),
    "sections interleaved": ("qwen2_vl", spec_change("language", positions={"interleaved": True})),
    "no window": ("qwen2_5_vl", spec_change("vision", window=None, full_blocks=())),
    "a window too many": ("qwen2_5_vl", spec_change("vision", full_blocks=())),
    "windows of half the side": ("qwen2_5_vl", spec_change("vision", window=2)),
    "another full block": ("qwen2_5_vl", spec_change("vision", full_blocks=(0,))),
    "positions stretched bicubically": ("qwen3_vl", spec_change("vision", positions="bicubic")),
    "deeper features one block late": ("qwen3_vl", spec_change("vision", deep_layers=(2, 3))),
    "sections in runs": ("qwen3_vl", spec_change("language", positions={"interleaved": False})),
    "interleaved sections exchanged": ("qwen3_vl", sections(3, 3, 2)),
}


@pytest.mark.parametrize("mistake", SPEC_MISTAKES)
def test_a_wrong_spec_is_seen(mistake: str, pairs: dict[str, qwen.Pair]) -> None:
    kind, change = SPEC_MISTAKES[mistake]
    ours = load(change(read_spec(pairs[kind].folder))).model
    ours.spec = qwen.small(ours.spec)
    assert qwen.difference(ours, pairs[kind].theirs, qwen.conversations(ours.spec)) > SEEN


def swapped(*names: str) -> Break:
    """Exchange the data of two parameters."""

    def swap(model: Vlm, patch: pytest.MonkeyPatch) -> None:
        a, b = (model.get_parameter(name).data for name in names)
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)

    return swap


def turned_squares(model: Vlm, patch: pytest.MonkeyPatch) -> None:
    """The rows of a square joined column by column."""
    up = model.connector.main.up.weight.data
    up.copy_(up.unflatten(1, (2, 2, -1)).transpose(1, 2).flatten(1))


def columns_for_rows(model: Vlm, patch: pytest.MonkeyPatch) -> None:
    """Rows turn the pairs that columns should, and the other way round."""
    angles = rope2d.patch_angles

    def exchanged(*given: Any) -> Tensor:
        rows, cols = angles(*given).chunk(2, -1)
        return torch.cat((cols, rows), -1)

    patch.setattr(rope2d, "patch_angles", exchanged)


def windows_from_the_end(model: Vlm, patch: pytest.MonkeyPatch) -> None:
    """The ragged windows first."""

    def runs(length: int, side: int) -> Iterator[tuple[slice, int]]:
        rest = length % side
        if rest:
            yield slice(0, rest), rest
        if rest < length:
            yield slice(rest, length), side

    patch.setattr(window, "_runs", runs)


def levels_exchanged(model: Vlm, patch: pytest.MonkeyPatch) -> None:
    for block in model.language.blocks:
        block.level = 1 - block.level


def no_deeper_features(model: Vlm, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vlm, "split_levels", lambda visual, width: (visual[:, :width], None))


MODEL_MISTAKES: dict[str, tuple[str, Break]] = {
    "squares joined by columns": ("qwen2_vl", turned_squares),
    "rows and columns exchanged": ("qwen2_vl", columns_for_rows),
    "ragged windows first": ("qwen2_5_vl", windows_from_the_end),
    "gate and up exchanged": (
        "qwen2_5_vl",
        swapped("vision.blocks.0.mlp.gate.weight", "vision.blocks.0.mlp.up.weight"),
    ),
    "query and key exchanged": (
        "qwen2_vl",
        swapped("vision.blocks.0.attn.q.bias", "vision.blocks.0.attn.k.bias"),
    ),
    "mergers of levels exchanged": (
        "qwen3_vl",
        swapped("connector.deep.0.down.weight", "connector.deep.1.down.weight"),
    ),
    "levels exchanged": ("qwen3_vl", levels_exchanged),
    "no deeper features": ("qwen3_vl", no_deeper_features),
}


@pytest.mark.parametrize("mistake", MODEL_MISTAKES)
def test_a_wrong_model_is_seen(
    mistake: str, pairs: dict[str, qwen.Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, break_it = MODEL_MISTAKES[mistake]
    ours = qwen.ours_of(pairs[kind].folder)
    items = qwen.conversations(ours.spec)
    break_it(ours, monkeypatch)
    assert qwen.difference(ours, pairs[kind].theirs, items) > SEEN


@pytest.mark.parametrize("kind", KINDS)
def test_frames_in_the_wrong_order_are_seen(kind: str, pairs: dict[str, qwen.Pair]) -> None:
    """Only a clip can show it: both frames of a still picture are the same."""
    theirs, ours = pairs[kind].theirs, qwen.ours_of(pairs[kind].folder)
    weight = ours.vision.patch_embed.weight.data
    weight.copy_(weight.roll(3, 1))
    assert qwen.difference(ours, theirs, qwen.conversations(ours.spec)) <= TOLERANCE
    assert qwen.difference(ours, theirs, qwen.clips(ours.spec), clips=True) > SEEN


PLACED_WRONG: dict[str, Callable[[Tensor], Tensor]] = {
    "one axis": lambda places: torch.arange(places.shape[1]).expand(3, -1),
    "rows and columns exchanged": lambda places: places[[0, 2, 1]],
    "all after the picture one late": lambda places: places + (
        torch.arange(places.shape[1]) > places.shape[1] - 4),
}  # fmt: skip


@pytest.mark.parametrize("mistake", PLACED_WRONG)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_positions_are_seen(kind: str, mistake: str, pairs: dict[str, qwen.Pair]) -> None:
    ours = qwen.ours_of(pairs[kind].folder)
    item = qwen.conversations(ours.spec)["one"]
    wrong = replace(item, positions_AT=PLACED_WRONG[mistake](item.positions_AT))
    wanted = qwen.their_logits(pairs[kind].theirs, item, ours.spec.vision.patch)
    assert float((ref.our_logits(ours, wrong) - wanted).abs().max()) > SEEN
