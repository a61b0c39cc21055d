"""The vision transformer: counts, token order, feature layers, stretched positions."""

# V views  N tokens of a view  D width

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.tiny import BASE, randomise
from transformers import (
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    SiglipVisionConfig,
)
from transformers.models.clip.modeling_clip import CLIPVisionEmbeddings
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings
from transformers.models.dinov2_with_registers.modeling_dinov2_with_registers import (
    Dinov2WithRegistersEmbeddings,
)
from transformers.models.siglip.modeling_siglip import SiglipVisionEmbeddings

from sightline.core.geometry import Grid
from sightline.spec.vision import VitSpec
from sightline.vision.vit import VitContext, VitEncoder

SIDE, PATCH, WIDTH = 20, 4, 12
WHOLE = VitContext(Grid(5, 5))


def encoder(seed=0, **changes):
    spec = VitSpec.parse({**BASE["vision"], "image_size": SIDE, "depth": 3, **changes})
    model = VitEncoder(spec)
    randomise(model, seed)
    return model


def pixels(width=SIDE, height=SIDE, views=2):
    return torch.randn(views, 3, height, width)


@settings(max_examples=40)
@given(
    st.sampled_from(["absent", "keep", "drop"]),
    st.integers(0, 3),
    st.integers(PATCH, 30),
    st.integers(PATCH, 30),
    st.integers(1, 3),
)
def test_rows_equal_the_count_of_the_spec(class_token, registers, width, height, views):
    model = encoder(class_token=class_token, registers=registers, depth=1)
    with torch.inference_mode():
        out_VND = model(pixels(width, height, views))
    assert out_VND.shape == (views, model.spec.tokens(model.spec.grid(width, height)), WIDTH)


def theirs(name):
    """transformers' embeddings with our names of their parameters."""
    sizes = {"hidden_size": WIDTH, "patch_size": PATCH, "image_size": SIDE}
    match name:
        case "clip":
            module = CLIPVisionEmbeddings(CLIPVisionConfig(**sizes))
        case "siglip":
            module = SiglipVisionEmbeddings(SiglipVisionConfig(**sizes))
        case "dinov2":
            module = Dinov2Embeddings(Dinov2Config(**sizes))
        case "registers":
            module = Dinov2WithRegistersEmbeddings(
                Dinov2WithRegistersConfig(**sizes, num_register_tokens=3)
            )
    return module.eval()


FAMILIES = {
    "clip": {"class_token": "drop", "patch_bias": False},
    "siglip": {},
    "dinov2": {"class_token": "keep"},
    "registers": {"class_token": "keep", "registers": 3, "position_antialias": True},
}
OURS = {
    "class_embedding": "class_token",
    "cls_token": "class_token",
    "register_tokens": "registers",
    "position_embedding.weight": "positions",
    "position_embeddings": "positions",
    "patch_embedding.weight": "patch_embed.weight",
    "patch_embedding.bias": "patch_embed.bias",
    "patch_embeddings.projection.weight": "patch_embed.weight",
    "patch_embeddings.projection.bias": "patch_embed.bias",
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "size", [(20, 20), (32, 32), (12, 12), (36, 16), (8, 29), (22, 23)], ids=str
)
def test_embeddings_equal_transformers_at_native_and_stretched_sizes(name, size):
    mine, reference = encoder(**FAMILIES[name]), theirs(name)
    parameters = dict(mine.named_parameters())
    with torch.no_grad():
        for key, p in reference.named_parameters():
            if key != "mask_token":
                p.copy_(parameters[OURS[key]].reshape(p.shape))
        x_V3HW = pixels(*size)
        stretched = {"interpolate_pos_encoding": True} if name in ("clip", "siglip") else {}
        torch.testing.assert_close(
            mine.embed(x_V3HW), reference(x_V3HW, **stretched), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("class_token", ["absent", "drop", "keep"])
def test_special_tokens_stand_before_the_patches(class_token):
    model = encoder(class_token=class_token, registers=2)
    with torch.no_grad():
        model.positions.zero_()
        model.patch_embed.weight.zero_()
        model.patch_embed.bias.fill_(7.0)
        x_VND = model.embed(pixels())
    expected = [] if class_token == "absent" else [model.class_token]
    expected += [*model.registers, *[torch.full((WIDTH,), 7.0)] * 25]
    assert torch.equal(x_VND[0], torch.stack(expected))
    assert model.spec.extra_tokens == len(expected) - 25


@pytest.mark.parametrize("class_token", ["absent", "drop", "keep"])
def test_patches_leave_and_registers_stay(class_token):
    """What leaves are the rows of the patches, after the class token where it is kept."""
    model = encoder(class_token=class_token, registers=2, depth=2, post_norm="absent", layer=0)
    x_V3HW = pixels()
    inside = model.embed(x_V3HW)
    patches = inside[:, model.spec.extra_tokens :]
    expected = torch.cat((inside[:, :1], patches), 1) if class_token == "keep" else patches
    assert torch.equal(model(x_V3HW), expected)
    assert expected.shape[1] == 25 + (class_token == "keep")


@pytest.mark.parametrize("layer", range(-4, 4))
def test_the_chosen_hidden_state_leaves_and_later_blocks_do_not_run(layer):
    model = encoder(layer=layer, post_norm="unused")
    ran = []
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, i=i: ran.append(i))
    x_V3HW = pixels()
    out = model(x_V3HW)
    assert ran == list(range(model.spec.blocks_used))
    states = [model.embed(x_V3HW)]
    for block in model.blocks:
        states.append(block(states[-1], WHOLE))
    assert torch.equal(out, states[layer])
    others = [s for i, s in enumerate(states) if i != layer % 4]
    assert min((out - s).abs().max() for s in others) > 1e-2


@pytest.mark.parametrize("post_norm", ["absent", "unused", "applied"])
def test_the_final_norm_is_applied_only_where_the_spec_says_so(post_norm):
    model = encoder(post_norm=post_norm)
    assert (model.post_norm is None) == (post_norm == "absent")
    x_V3HW = pixels()
    x_VND = model.embed(x_V3HW)
    for block in model.blocks:
        x_VND = block(x_VND, WHOLE)
    expected = model.post_norm(x_VND) if post_norm == "applied" else x_VND
    assert torch.equal(model(x_V3HW), expected)


def test_a_block_is_the_published_formula():
    """x + s1 · attention(norm x), then x + s2 · mlp(norm x), in float64."""
    block = encoder(layer_scale=True, activation="quick_gelu").blocks[0].double()
    x = torch.randn(1, 5, WIDTH, dtype=torch.float64)

    def linear(layer, x):
        return x @ layer.weight.T + layer.bias

    def norm(layer, x):
        spread = (x.var(-1, correction=0, keepdim=True) + layer.eps).sqrt()
        return (x - x.mean(-1, keepdim=True)) / spread * layer.weight + layer.bias

    a = norm(block.norm1, x)[0]
    q, k, v = (linear(p, a).reshape(5, 2, 6) for p in (block.attn.q, block.attn.k, block.attn.v))
    heads = [(q[:, h] @ k[:, h].T / 6**0.5).softmax(-1) @ v[:, h] for h in range(2)]
    y = x + block.scale1 * linear(block.attn.out, torch.cat(heads, -1))
    inner = linear(block.mlp.up, norm(block.norm2, y))
    y = y + block.scale2 * linear(block.mlp.down, inner * torch.sigmoid(1.702 * inner))
    torch.testing.assert_close(block(x, WHOLE), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "gelu_tanh"},
        {"activation": "quick_gelu"},
        {"activation": "relu"},
        {"norm_eps": 0.1},
        {"layer": -2},
        {"post_norm": "unused"},
    ],
    ids=str,
)
def test_switches_without_parameters_change_the_features(change):
    x_V3HW = pixels()
    apart = (encoder()(x_V3HW) - encoder(**change)(x_V3HW)).abs().max()
    assert apart > (1e-4 if "activation" in change else 1e-2)


def test_patches_are_counted_row_by_row():
    """Turning a picture upside down turns the rows of its grid, not the columns."""
    model = encoder(depth=1)
    with torch.no_grad():
        model.positions.zero_()
        model.patch_embed.weight.copy_(model.patch_embed.weight.mean((2, 3), keepdim=True))
    x_V3HW = pixels(width=12, height=20, views=1)
    out = model(x_V3HW).unflatten(1, (5, 3))
    flipped = model(x_V3HW.flip(2)).unflatten(1, (5, 3))
    torch.testing.assert_close(flipped, out.flip(1), rtol=0, atol=1e-5)
    assert (flipped - out).abs().max() > 1e-2


def test_a_rest_smaller_than_a_patch_is_cut():
    model = encoder()
    x_V3HW = pixels(width=SIDE + PATCH - 1, height=SIDE + PATCH - 1)
    assert torch.equal(model(x_V3HW), model(x_V3HW[:, :, :SIDE, :SIDE]))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9))
def test_the_grid_holds_every_whole_patch(width, height, patch):
    spec = VitSpec.parse({**BASE["vision"], "patch": patch, "image_size": 40})
    grid = spec.grid(width, height)
    cells = itertools.product(range(0, height, patch), range(0, width, patch))
    whole = [1 for y, x in cells if y + patch <= height and x + patch <= width]
    assert grid.area == len(whole)
    assert grid == Grid(height // patch, width // patch)
