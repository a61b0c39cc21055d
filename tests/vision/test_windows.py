"""Patches that turn, patches that see their window, and features of several depths."""

# V views  N patches  D width

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.tiny import BASE, randomise

from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.nn.attention import attend
from sightline.nn.masks import BoundMask
from sightline.nn.rope import Rotary
from sightline.spec.vision import VitSpec
from sightline.vision.rope2d import patch_angles, patch_rotary
from sightline.vision.vit import VitEncoder
from sightline.vision.window import attend_in_windows, window_blocks

HEADS, DIM = 2, 4


def spec(**changes: Any) -> VitSpec:
    return VitSpec.parse({**BASE["vision"], "width": 16, "depth": 3, "image_size": 20, **changes})


def encoder(**changes: Any) -> VitEncoder:
    model = VitEncoder(spec(**changes))
    randomise(model, 0)
    return model.eval()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 11), st.integers(1, 11), st.integers(1, 5))
def test_windows_equal_a_mask_of_windows(rows: int, cols: int, side: int) -> None:
    grid, torch_seed = Grid(rows, cols), torch.Generator().manual_seed(rows * 99 + cols)
    q, k, v = torch.randn(3, 2, grid.area, HEADS, DIM, generator=torch_seed)
    y, x = torch.arange(grid.area) // cols // side, torch.arange(grid.area) % cols // side
    together = (y[:, None] == y) & (x[:, None] == x)
    mask = BoundMask(allowed_B1TS=together[None, None])
    wanted = attend(q, k.transpose(1, 2), v.transpose(1, 2), mask, 0.3)
    torch.testing.assert_close(
        attend_in_windows(q, k, v, grid, side, 0.3), wanted, rtol=0, atol=1e-6
    )


def test_equal_windows_run_together() -> None:
    assert len(list(window_blocks(Grid(8, 12), 4))) == 1
    assert len(list(window_blocks(Grid(9, 12), 4))) == 2
    ragged = [window for _, _, window in window_blocks(Grid(9, 14), 4)]
    assert ragged == [Grid(4, 4), Grid(4, 2), Grid(1, 4), Grid(1, 2)]


def test_rows_turn_one_half_of_the_pairs_and_columns_the_other() -> None:
    angles = patch_angles(spec(rope="shared", width=32, heads=2), Grid(3, 5)).unflatten(0, (3, 5))
    assert torch.equal(angles[:, :1, :4].expand(-1, 5, -1), angles[..., :4])
    assert torch.equal(angles[:1, :, 4:].expand(3, -1, -1), angles[..., 4:])
    assert torch.equal(angles[2, 0, :4], angles[0, 2, 4:])  # by the same frequencies
    torch.testing.assert_close(angles[1, 0, :4], 10_000.0 ** -(torch.arange(4) / 4))


def test_nothing_turns_without_rotations() -> None:
    assert patch_rotary(spec(), Grid(2, 2), torch.device("cpu")) is None


def test_below_float32_patches_turn_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Qwen2-VL does: in bfloat16 far patches would turn coarsely."""
    model, turned = encoder(rope="shared", positions="absent").bfloat16(), []
    turn = Rotary.turn
    monkeypatch.setattr(Rotary, "turn", lambda *given: turned.append(turn(*given)) or turned[-1])
    assert model(torch.randn(1, 3, 40, 40).bfloat16()).dtype == torch.bfloat16
    assert {x.dtype for x in turned} == {torch.float32}


def test_moving_a_picture_changes_nothing_that_only_rotations_see() -> None:
    """Without learned positions, features of a grid depend on distances alone."""
    model = encoder(rope="shared", positions="absent", window=2, full_blocks=())
    pixels = torch.randn(1, 3, 8, 16)
    left, right = model(pixels[..., :8]), model(pixels[..., 8:])
    both = model(pixels).unflatten(1, (2, 4))
    torch.testing.assert_close(both[:, :, :2].flatten(1, 2), left, rtol=0, atol=1e-5)
    torch.testing.assert_close(both[:, :, 2:].flatten(1, 2), right, rtol=0, atol=1e-5)


def test_deeper_features_follow_on_the_channels() -> None:
    model = encoder(deep_layers=(1, 2), post_norm="applied")
    pixels = torch.randn(2, 3, 20, 20)
    out = model(pixels)
    assert out.shape[-1] == model.spec.out_width == 48
    for part, layer in zip(out.chunk(3, -1), (-1, 1, 2), strict=True):
        alone = encoder(layer=layer, post_norm="applied" if layer == -1 else "absent")
        state = {k: v for k, v in model.state_dict().items() if k in alone.state_dict()}
        alone.load_state_dict(state)
        assert torch.equal(part, alone(pixels))


def test_two_frames_are_six_channels() -> None:
    model = encoder(frames_per_view=2)
    first, second = torch.randn(2, 1, 3, 20, 20)
    assert model(torch.cat((first, second), 1)).shape == (1, 25, 16)
    apart = model(torch.cat((first, second), 1)) - model(torch.cat((second, first), 1))
    assert bool((apart.abs() > 1e-2).any())


def test_no_learned_positions() -> None:
    model = encoder(positions="absent", image_size=None)
    assert model.positions is None and model(torch.randn(1, 3, 12, 24)).shape == (1, 18, 16)


def test_corner_cells_stay_on_corner_cells() -> None:
    model = encoder(positions="corners")
    torch.nn.init.zeros_(model.patch_embed.weight)
    torch.nn.init.zeros_(model.patch_embed.bias)
    wide = model.embed(torch.zeros(1, 3, 28, 36)).unflatten(1, (7, 9))[0]
    stored = model.positions.unflatten(0, (5, 5))
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        torch.testing.assert_close(wide[corner], stored[corner], rtol=0, atol=1e-6)
    torch.testing.assert_close(wide[3, 4], stored[2, 2], rtol=0, atol=1e-6)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rotations beside a class token": ({"rope": "shared", "class_token": "drop"}, "class token"),
    "windows beside registers": ({"window": 2, "registers": 1}, "registers"),
    "heads that cannot be quartered": ({"rope": "shared", "width": 12, "heads": 2}, "twice"),
    "full blocks without windows": ({"full_blocks": (0,)}, "without a window"),
    "a full block that is none": ({"window": 2, "full_blocks": (3,)}, "no block of 3"),
    "a deeper feature beyond the layer": ({"deep_layers": (3,), "layer": -2}, "up to layer"),
    "the embedding as a deeper feature": ({"deep_layers": (0,)}, "no block's output"),
    "learned positions of no size": ({"image_size": None}, "is missing"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_contradictions_are_refused(change: str) -> None:
    values, words = REFUSED[change]
    with pytest.raises(SpecError, match=words):
        spec(**values)
