"""Routing between the two versions of a block."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.tiny import merged, randomise, tiny_spec
from torch import Tensor

from sightline.core.errors import SpecError
from sightline.fusion.visual_expert import VisualExpertBlock, expert_rows
from sightline.language.blocks import build_block
from sightline.language.context import BlockContext
from sightline.nn.masks import Mask
from sightline.nn.rope import RotaryTable
from sightline.spec import ModelSpec
from sightline.spec.language import DecoderSpec, RopeSpec

SPEC = tiny_spec().language
TOKENS = 7
VISUAL = torch.tensor([[False, True, True, True, False, True, False]] * 2)


def context(
    visual_BT: Tensor | None, spec: DecoderSpec = SPEC, *, last: bool = False
) -> BlockContext:
    assert isinstance(spec.positions, RopeSpec)
    table = RotaryTable(spec.positions, spec.rotated_dim)
    rotary = table.at(torch.arange(TOKENS).expand(1, 2, -1), TOKENS, torch.float32)
    device = torch.device("cpu")
    ctx = BlockContext(rotary, Mask().bind(0, TOKENS, None, device), visual_BT=visual_BT)
    return ctx.for_last_row(Mask().bind(TOKENS - 1, TOKENS, None, device)) if last else ctx


def block(spec: DecoderSpec = SPEC) -> VisualExpertBlock:
    made = VisualExpertBlock(spec, 0)
    randomise(made, 1)
    return made.eval()


def test_the_last_of_a_run_is_text() -> None:
    wanted = [[False, True, True, False, False, False, False]] * 2
    assert expert_rows(VISUAL).tolist() == wanted


def test_without_visual_rows_it_is_a_sequential_block() -> None:
    ours, plain = block(), build_block(SPEC, 0)
    own = {n: p for n, p in ours.state_dict().items() if not n.startswith("expert.")}
    plain.load_state_dict(own)
    x_BTD = torch.randn(2, TOKENS, SPEC.width)
    with torch.no_grad():
        wanted = plain(x_BTD, context(None))
        assert torch.allclose(ours(x_BTD, context(None)), wanted, atol=1e-6)
        nothing = context(torch.zeros(2, TOKENS, dtype=torch.bool))
        assert torch.allclose(ours(x_BTD, nothing), wanted, atol=1e-6)
        assert (ours(x_BTD, context(VISUAL)) - wanted).abs().max() > 0.01


@pytest.mark.parametrize("change", [{}, {"mlp": {"kind": "plain", "bias": True}}])
def test_the_last_row_alone_is_the_last_row(change: dict[str, dict[str, object]]) -> None:
    """Also where a picture ends the sequence, and where the last row is its inside."""
    spec = DecoderSpec.parse(merged(SPEC.model_dump(), change))
    ours, x_BTD = block(spec), torch.randn(2, TOKENS, spec.width)
    for visual_BT in (VISUAL, VISUAL.flip(1).roll(1, 1), torch.ones_like(VISUAL)):
        with torch.no_grad():
            whole = ours(x_BTD, context(visual_BT, spec))
            alone = ours(x_BTD, context(visual_BT, spec, last=True))
        assert torch.allclose(alone, whole[:, -1:], atol=1e-6)


def test_gradients_reach_both_versions() -> None:
    ours = block()
    ours(torch.randn(2, TOKENS, SPEC.width), context(VISUAL)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in ours.parameters())


@pytest.mark.parametrize(
    "language", [{"block": "parallel"}, {"attention": {"qk_norm": "rms"}},
                 {"attention": {"soft_cap": 5.0}}]
)  # fmt: skip
def test_blocks_that_have_no_second_version_are_refused(language: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="visual_expert"):
        tiny_spec(fusion={"kind": "visual_expert"}, language=language)


def test_the_spec_survives_yaml() -> None:
    spec = tiny_spec(fusion={"kind": "visual_expert", "positions": "shared"})
    assert ModelSpec.from_yaml(spec.to_yaml()) == spec
