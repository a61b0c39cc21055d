"""Norms, activations, feed-forwards, linears and the cache."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers.tiny import randomise, tiny_model
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from sightline.nn.kv_cache import KvCache
from sightline.nn.linear import Joint, Linear, joined
from sightline.nn.mlp import GatedMlp, PlainMlp, activate
from sightline.nn.norm import build_norm
from sightline.spec.layers import LayerNormSpec, RmsNormSpec

# ours -> the name that transformers has for it
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
}


@pytest.mark.parametrize(("kind", "theirs"), ACTIVATIONS.items())
def test_activations_equal_transformers(kind, theirs):
    x = torch.linspace(-9, 9, 1001)
    torch.testing.assert_close(activate(x, kind), ACT2FN[theirs](x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("kind", "theirs"), ACTIVATIONS.items())
def test_activations_keep_their_slopes_and_their_ends(kind, theirs):
    x = torch.tensor([-1e4, -300, -25, -12, -11, -1, 0.5, 1, 11, 12, 25, 300]).requires_grad_()
    for mine, truth in zip(
        (activate(x, kind), *torch.autograd.grad(activate(x, kind).sum(), x)),
        (ACT2FN[theirs](x), *torch.autograd.grad(ACT2FN[theirs](x).sum(), x)),
        strict=True,
    ):
        torch.testing.assert_close(mine, truth, rtol=1e-5, atol=1e-7)


def test_activations_differ_from_each_other():
    x = torch.linspace(-3, 3, 101)
    each = [activate(x, kind) for kind in ACTIVATIONS]
    apart = [(a - b).abs().max() for i, a in enumerate(each) for b in each[:i]]
    assert min(apart) > 1e-4


@pytest.mark.parametrize("eps", [1e-6, 1e-2])
@pytest.mark.parametrize("unit_offset", [False, True])
def test_rms_norms_equal_llama_and_gemma(eps, unit_offset):
    theirs = (GemmaRMSNorm if unit_offset else LlamaRMSNorm)(24, eps=eps)
    ours = build_norm(RmsNormSpec(eps=eps, unit_offset=unit_offset), 24)
    randomise(ours, 1)
    theirs.load_state_dict(ours.state_dict())
    x = 3 * torch.randn(5, 24)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)
    low = x.bfloat16()
    assert ours.bfloat16()(low).dtype == torch.bfloat16
    torch.testing.assert_close(ours(low), theirs.bfloat16()(low), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_layer_norm_equals_torch(eps):
    ours, theirs = build_norm(LayerNormSpec(eps=eps), 24), nn.LayerNorm(24, eps=eps)
    randomise(ours, 1)
    theirs.load_state_dict(ours.state_dict())
    x = 3 * torch.randn(5, 24) + 2
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_feed_forwards_equal_their_formulas(bias):
    x = torch.randn(3, 8)
    plain, gated = PlainMlp(8, 12, "gelu", bias=bias), GatedMlp(8, 12, "silu", bias=bias)
    randomise(plain, 1)
    randomise(gated, 2)

    def linear(layer, x):
        out = x.double() @ layer.weight.double().T
        return out if layer.bias is None else out + layer.bias.double()

    expected = linear(plain.down, F.gelu(linear(plain.up, x)))
    torch.testing.assert_close(plain(x).double(), expected, rtol=0, atol=1e-6)
    expected = linear(gated.down, F.silu(linear(gated.gate, x)) * linear(gated.up, x))
    torch.testing.assert_close(gated(x).double(), expected, rtol=0, atol=1e-6)
    assert (plain.up.bias is not None) == bias


def test_joined_projections_equal_their_parts():
    parts = [Linear(6, 4, bias=True), Linear(6, 3, bias=False), Linear(6, 5, bias=True)]
    for seed, part in enumerate(parts):
        randomise(part, seed)
    x, joint = torch.randn(2, 6), Joint(*parts)
    weight, bias = joined(parts)
    whole = F.linear(x, weight, bias).split(joint.sizes, dim=-1)
    for part, split, product in zip(parts, joint(x), whole, strict=True):
        assert torch.equal(split, part(x))
        torch.testing.assert_close(product, part(x), rtol=0, atol=1e-6)
    assert torch.equal(joint.whole(x), torch.cat(joint(x), -1))
    assert joined(parts[1:2])[1] is None


def cache_of(depth=2, batch=3, capacity=6, kv_heads=2, head_dim=4):
    return KvCache(
        depth=depth,
        batch=batch,
        capacity=capacity,
        kv_heads=kv_heads,
        head_dim=head_dim,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )


def test_a_cache_returns_what_was_written_layer_by_layer():
    cache, written = cache_of(), []
    for tokens in (3, 1, 2):
        columns = torch.randn(2, 2, 3, tokens, 2, 4)
        written.append(columns)
        for layer in range(2):
            k, v = cache.layer(layer).append(*columns[layer])
            both = torch.cat(written, 3)[layer].transpose(2, 3)
            assert torch.equal(torch.stack((k, v)), both)
        cache.advance(tokens)
    assert cache.length == 6
    with pytest.raises(IndexError, match="6 columns asked for 7"):
        cache.layer(0).append(*torch.zeros(2, 3, 1, 2, 4))


def test_selected_rows_are_copies():
    cache = cache_of(depth=1)
    columns = torch.randn(2, 3, 2, 2, 4)
    cache.layer(0).append(*columns)
    cache.advance(2)
    cache.select(torch.tensor([2, 2, 0, 1]))
    k, _ = cache.layer(0).append(*torch.arange(8.0).reshape(2, 4, 1, 1, 1).expand(2, 4, 1, 2, 4))
    assert torch.equal(k[:, :, :2], columns[0, [2, 2, 0, 1]].transpose(1, 2))
    assert k[:, 0, 2, 0].tolist() == [0, 1, 2, 3]


def test_a_cache_costs_what_the_spec_says():
    model = tiny_model()
    cache = model.language.new_cache(3, 10)
    assert cache.num_bytes == 3 * model.spec.language.kv_bytes(10, bytes_per_value=4)
    assert math.prod(cache.store_L2BGSK.shape) * 4 == cache.num_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("unit_offset", [False, True])
def test_a_norm_that_trains_equals_torchs(unit_offset, dtype):
    """Values to one rounding of the dtype, gradients to a few of float32."""
    ours = build_norm(RmsNormSpec(unit_offset=unit_offset), 24).to(dtype)
    torch.nn.init.normal_(ours.weight)
    x = torch.randn(3, 5, 24, dtype=dtype, requires_grad=True)
    upstream = torch.randn(3, 5, 24, dtype=dtype)
    out = ours(x)
    found = torch.autograd.grad(out, [x, ours.weight], upstream)
    wide = [t.detach().double().requires_grad_() for t in (x, ours.weight)]
    theirs = F.rms_norm(wide[0], (24,), wide[1] + unit_offset, ours.eps)
    truth = torch.autograd.grad(theirs, wide, upstream.double())
    bound = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float64: 1e-12}[dtype]
    for mine, other in zip((out, *found), (theirs, *truth), strict=True):
        assert mine.dtype == dtype
        assert (mine.double() - other).abs().max() <= bound * other.abs().max()
    with torch.no_grad():
        assert (ours(x) - out).abs().max() <= 2**-7 * out.abs().max()
