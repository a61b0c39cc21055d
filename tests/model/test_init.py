"""First values: complete, repeatable, calm."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers.tiny import DECODERS, VOCAB, item, tiny_spec, words

from sightline.core.geometry import Grid
from sightline.model.build import build_model
from sightline.model.init import initialise, waves
from sightline.model.reference import reference_logits

ENCODER = {
    "class_token": "keep",
    "registers": 2,
    "pre_norm": True,
    "layer_scale": True,
    "mlp": "swiglu",
}
WIDE = {
    "vision": {"width": 64, "mlp_width": 96, "depth": 4},
    "language": {"width": 64, "depth": 6, "mlp": {"width": 96}, "attention": {"head_dim": 16}},
}


def fresh(seed, **sections):
    model = build_model(tiny_spec(**sections))
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(math.nan)
    initialise(model, seed)
    return dict(model.named_parameters())


@pytest.mark.parametrize("case", DECODERS)
def test_every_parameter_gets_a_value(case):
    for name, p in fresh(0, language=DECODERS[case], vision=ENCODER).items():
        assert torch.isfinite(p).all(), name


def test_one_seed_gives_one_model_whatever_random_numbers_were_drawn_before():
    first = fresh(3)
    torch.manual_seed(99)
    again, other = fresh(3), fresh(4)
    assert all(torch.equal(p, again[name]) for name, p in first.items())
    drawn = [name for name, p in first.items() if p.ndim == 2 and "positions" not in name]
    assert drawn and all(not torch.equal(first[name], other[name]) for name in drawn)


@pytest.mark.parametrize("norm", [{"kind": "layer"}, {"kind": "rms", "unit_offset": True}, {}])
def test_norms_start_as_the_identity(norm):
    model = build_model(tiny_spec(language={"norm": {"kind": "rms", **norm}}))
    initialise(model, 0)
    x = torch.randn(64, 20) * 3 + 1
    x = x - x.mean(-1, keepdim=True)
    expected = x / x.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(model.language.norm(x), expected, atol=1e-4, rtol=1e-4)


def test_biases_are_zero_and_layer_scales_one():
    parts = {"language": {**DECODERS["biases"], "head_bias": True}, "vision": ENCODER}
    for name, p in fresh(0, **parts).items():
        if name.endswith("bias"):
            assert not p.any(), name
        if "scale" in name:
            assert (p == 1).all(), name


def test_matrices_have_the_stated_deviation():
    deviation = 0.8796  # of a normal truncated at two deviations
    calm = {"vision": 1 / math.sqrt(8), "language": 1 / math.sqrt(12)}
    for name, p in fresh(0, **WIDE).items():
        if p.ndim < 2 or "positions" in name or p.numel() < 1500:
            continue
        if "embed.weight" in name or "head" in name:
            std = 0.02
        else:
            std = 1 / math.sqrt(p[0].numel())
            if name.endswith(("attn.out.weight", "mlp.down.weight")):
                std *= calm[name.split(".")[0]]
        if "patch_embed" in name:
            std = 1 / math.sqrt(3 * 16)
        assert p.std().item() == pytest.approx(deviation * std, rel=0.1), name
        assert p.abs().max() <= 2 * std + 1e-6, name


@pytest.mark.parametrize(("rows", "cols", "width"), [(1, 1, 8), (3, 5, 16), (8, 8, 31), (2, 2, 3)])
def test_position_waves_are_bounded_and_tell_cells_apart(rows, cols, width):
    table = waves(Grid(rows, cols), width)
    assert table.shape == (rows * cols, width) and table.abs().max() <= 0.5
    if width >= 4:
        apart = torch.cdist(table, table) + torch.eye(rows * cols)
        assert apart.min() > 0.01


def test_position_waves_stand_behind_the_class_token():
    table = fresh(0, vision={"class_token": "keep"})["vision.positions"]
    assert not table[0].any() and torch.equal(table[1:], waves(Grid(2, 2), 12))


def test_modules_of_others_keep_their_values():
    theirs = torch.nn.Conv2d(3, 4, 2)
    before = theirs.weight.detach().clone()
    initialise(torch.nn.Sequential(theirs), 0)
    assert torch.equal(theirs.weight, before)


def test_a_new_model_is_unsure():
    """The first loss is that of guessing among all tokens."""
    model = build_model(tiny_spec(**WIDE))
    initialise(model, 0)
    log_p = reference_logits(model, item([5], 1, words(9))).log_softmax(-1)
    assert (log_p + math.log(VOCAB)).abs().max() < 1.0
