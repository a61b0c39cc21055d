"""The composed model: parts meet, gradients flow, foreign parts fit."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.tiny import (
    DECODERS,
    STOPS,
    VISUAL,
    VOCAB,
    item,
    randomise,
    shown,
    tiny_model,
    tiny_spec,
    words,
)
from torch import nn

from sightline.core.errors import PlaceholderMismatch
from sightline.fusion.interleave import interleave
from sightline.model.batch import collate
from sightline.model.build import build_model
from sightline.model.reference import reference_greedy, reference_logits


def test_visual_rows_replace_placeholders_in_order():
    x_BTD = torch.zeros(2, 4, 3)
    visual_BT = torch.tensor([[False, True, True, False], [True, False, False, False]])
    rows_ND = torch.arange(9.0).reshape(3, 3) + 1
    out = interleave(x_BTD, visual_BT, rows_ND)
    assert torch.equal(out[0, 1:3], rows_ND[:2]) and torch.equal(out[1, 0], rows_ND[2])
    assert out[~visual_BT].count_nonzero() == 0


@pytest.mark.parametrize("rows", [0, 2, 4, 8])
def test_another_number_of_rows_is_refused_with_both_counts(rows):
    visual_BT = torch.tensor([[True, True, True, False]])
    with pytest.raises(PlaceholderMismatch, match=rf"reserves 3 positions.* emits {rows} rows"):
        interleave(torch.zeros(1, 4, 2), visual_BT, torch.zeros(rows, 2))


def test_gradients_reach_visual_rows_and_only_the_text_that_is_left():
    x_BTD = torch.randn(1, 4, 3, requires_grad=True)
    rows_ND = torch.randn(2, 3, requires_grad=True)
    visual_BT = torch.tensor([[False, True, True, False]])
    weights = torch.randn(1, 4, 3)
    (interleave(x_BTD, visual_BT, rows_ND) * weights).sum().backward()
    assert torch.equal(rows_ND.grad, weights[0, 1:3])
    assert torch.equal(x_BTD.grad, weights * ~visual_BT[..., None])


def test_gradients_reach_every_parameter_of_the_encoder_and_the_connector():
    model = tiny_model(tiny_spec(vision={"class_token": "keep", "registers": 1, "pre_norm": True}))
    batch = collate([item([5], 1, [6, 7], visual=VISUAL + 1)], 0, "right")
    model.language.logits(model(batch))[0, -1].square().sum().backward()
    missing = [name for name, p in model.named_parameters() if not (p.grad != 0).any()]
    # A constant added to every key changes no softmax.
    assert all(name.endswith("attn.k.bias") for name in missing), missing


def test_a_tied_matrix_gets_the_gradients_of_both_its_uses():
    tied, untied = (tiny_model(tiny_spec(language={"tied_head": tie})) for tie in (True, False))
    untied.load_state_dict(tied.state_dict(), strict=False)
    with torch.no_grad():
        untied.language.head.weight.copy_(tied.language.embed.weight)
    batch = collate([item([5], 1, [6, 7])], 0, "right")
    for model in (tied, untied):
        model.language.logits(model(batch))[0, -1].square().sum().backward()
    both = untied.language.embed.weight.grad + untied.language.head.weight.grad
    found = tied.language.embed.weight.grad
    assert (found - both).abs().max() < 1e-5 * both.abs().max()


def test_pictures_change_what_follows_them_and_nothing_before():
    model = tiny_model()
    first, second = (item([5, 6], 1, [7], seed=seed) for seed in (1, 2))
    a, b = reference_logits(model, first), reference_logits(model, second)
    assert torch.equal(a[:2], b[:2])
    assert ((a[2:] - b[2:]).abs().amax(-1) > 1e-3).all()


def test_views_are_encoded_each_by_itself():
    model = tiny_model()
    pixels = item(3, seed=4).pixels_V3HW
    assert pixels is not None
    with torch.inference_mode():
        together = model.encode([shown(pixels, VISUAL)])
        alone = torch.cat([model.encode([shown(view[None], VISUAL)]) for view in pixels])
    assert together.shape == (3 * VISUAL, model.spec.language.width)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_a_module_of_ones_own_stands_in_for_the_encoder():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(12))

        def forward(self, pixels_V3HW):
            return pixels_V3HW.mean((1, 2, 3))[:, None, None] * self.weight

    model = build_model(tiny_spec(), vision=Mean())
    randomise(model, 0)
    one = item([5], 2, [6], visual=1)
    assert reference_logits(model, one).shape == (4, VOCAB)
    assert any(name == "vision.weight" for name, _ in model.named_parameters())


def test_building_on_meta_allocates_nothing_and_knows_every_shape():
    spec = tiny_spec()
    on_meta = build_model(spec, device="meta", dtype=torch.bfloat16)
    real = build_model(spec, dtype=torch.bfloat16)
    assert all(p.is_meta and p.dtype == torch.bfloat16 for p in on_meta.parameters())
    shapes = {name: p.shape for name, p in real.named_parameters()}
    assert {name: p.shape for name, p in on_meta.named_parameters()} == shapes


@pytest.mark.parametrize("case", DECODERS)
def test_an_answer_after_the_prompt_equals_the_answer_inside_it(case):
    """reference_logits continues positions and visibility as one conversation would have them."""
    model = tiny_model(tiny_spec(language=DECODERS[case]))
    answer = words(4, seed=9)
    split = reference_logits(model, item([5], 1, [6], seed=1), answer)
    whole = reference_logits(model, item([5], 1, [6, *answer], seed=1))
    torch.testing.assert_close(split, whole, atol=1e-6, rtol=0)


def test_greedy_reference_ends_with_a_stop_id_or_at_its_limit():
    model = tiny_model(tiny_spec(language={"head_bias": True}))
    assert len(reference_greedy(model, item([5]), 5)) == 5
    with torch.no_grad():
        model.language.head.bias[STOPS[0]] += 100
    assert reference_greedy(model, item([5]), 5) == [STOPS[0]]


def test_low_precision_stays_near_and_logits_stay_float32():
    spec = tiny_spec()
    model, one = tiny_model(spec), item([5, 6], 1, words(5))
    exact = reference_logits(model, one)
    rounded = reference_logits(model.to(torch.bfloat16), one)
    assert rounded.dtype == torch.float32 and model.dtype == torch.bfloat16
    assert (exact - rounded).abs().max() < 0.05 * exact.abs().max()
