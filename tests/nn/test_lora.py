"""Adapters on linear layers: what they compute, what they are called, how they come and go."""

# B rows  I in  O out  R rank

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.tiny import DECODERS, tiny_model, tiny_spec
from torch import Tensor, nn

from sightline.core.errors import TrainError, WeightError
from sightline.nn.linear import Joint, Linear
from sightline.nn.lora import (
    adapters_of,
    add_adapters,
    blocks_of,
    matrices_of,
    merge,
    refuse_adapted,
    remove,
)
from sightline.nn.mlp import GatedMlp
from sightline.nn.packed import pack, unpack


def linear(inputs: int = 6, outputs: int = 5, bias: bool = True, seed: int = 0) -> Linear:
    made = Linear(inputs, outputs, bias=bias)
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        nn.init.normal_(parameter, generator=generator)
    return made


@torch.no_grad()
def stir(module: nn.Module, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _, _, adapter in adapters_of(module):
        nn.init.normal_(adapter.b, 0, 0.5, generator=generator)
        if adapter.magnitude is not None:
            adapter.magnitude.mul_(torch.rand(adapter.magnitude.shape, generator=generator) + 0.5)


def written_out(layer: Linear, x: Tensor) -> Tensor:
    """What the papers say, in float64."""
    [(_, _, adapter)] = adapters_of(layer)
    w, a, b = (t.detach().double() for t in (layer.weight, adapter.a, adapter.b))
    whole = w + adapter.alpha / a.shape[0] * b @ a
    if adapter.magnitude is not None:
        whole = adapter.magnitude.detach().double()[:, None] * whole
        whole = whole / (w + adapter.alpha / a.shape[0] * b @ a).square().sum(1, True).sqrt()
    bias = 0 if layer.bias is None else layer.bias.detach().double()
    return x.double() @ whole.T + bias


shapes = st.fixed_dictionaries(
    {
        "inputs": st.integers(1, 9),
        "outputs": st.integers(1, 9),
        "bias": st.booleans(),
        "rank": st.integers(1, 12),
        "alpha": st.floats(0.1, 64),
        "dora": st.booleans(),
    }
)


@given(shapes, st.integers(0, 99))
@settings(max_examples=60)
def test_product_and_merge_are_those_of_the_papers(shape, seed):
    layer = linear(shape["inputs"], shape["outputs"], shape["bias"], seed)
    x = torch.randn(2, 3, shape["inputs"], generator=torch.Generator().manual_seed(seed))
    plain, before = layer(x), layer.weight.detach().clone()
    add_adapters({"it": layer}, rank=shape["rank"], alpha=shape["alpha"], dora=shape["dora"])
    assert torch.allclose(layer(x), plain, atol=1e-6)
    stir(layer, seed)
    wanted = written_out(layer, x)
    bound = 1e-5 * max(1.0, float(wanted.abs().max()), shape["alpha"] / shape["rank"])
    assert torch.allclose(layer(x).double(), wanted, atol=bound)
    [(_, _, adapter)] = adapters_of(layer)
    parameter = layer.weight
    assert merge(layer) == ("",) and layer.adapter is None
    assert layer.weight is parameter and not layer.weight.requires_grad
    assert torch.allclose(layer(x).double(), wanted, atol=bound)
    if not shape["dora"]:  # taken off again, the base is what it was
        back = layer.weight - adapter.delta()
        assert torch.allclose(back, before, atol=bound)


def test_names_of_tensors_and_what_trains():
    model = tiny_model(tiny_spec(language=DECODERS["biases"]))
    names = add_adapters(matrices_of(model.language, ("q", "mlp.down")), rank=2, alpha=4, dora=True)
    assert names == tuple(f"blocks.{i}.{n}" for i in range(3) for n in ("attn.q", "mlp.down"))
    own = dict(model.language.blocks[0].attn.q.named_parameters())
    assert list(own) == ["weight", "bias", "adapter.a", "adapter.b", "adapter.magnitude"]
    assert [name for name, p in own.items() if p.requires_grad] == list(own)[2:]
    assert own["adapter.a"].shape == (2, 20) and own["adapter.b"].shape == (32, 2)
    assert set(own) == set(model.language.blocks[0].attn.q.state_dict())
    assert model.language.blocks[0].attn.k.weight.requires_grad


def test_matrices_are_those_of_the_blocks():
    model = tiny_model()
    language = matrices_of(model.language)
    assert len(language) == 3 * 7 and len(matrices_of(model.vision)) == 2 * 6
    assert set(matrices_of(model.connector)) == {"layers.0", "layers.1"}
    assert blocks_of(model.connector) == [] and len(blocks_of(model.vision)) == 2
    assert set(matrices_of(model.language, ("attn.q",))) == {f"blocks.{i}.attn.q" for i in range(3)}
    with pytest.raises(TrainError, match=r"'query' is no linear layer.*it has down, gate, k, out"):
        matrices_of(model.language, ("q", "query"))


def test_first_values_come_from_the_seed():
    one, two, three = (linear(50, 3) for _ in range(3))
    for layer, seed in ((one, 0), (two, 0), (three, 1)):
        add_adapters({"it": layer}, rank=4, alpha=4, seed=seed)
    assert torch.equal(one.adapter.a, two.adapter.a)
    assert not torch.equal(one.adapter.a, three.adapter.a)
    largest = float(one.adapter.a.detach().abs().max())
    assert largest <= 50**-0.5 < 1.1 * largest
    assert not one.adapter.b.any()


@pytest.mark.parametrize("dora", [False, True])
def test_dropout_follows_the_generator_and_stops_in_eval(dora):
    layer = linear(40, 5).train()
    add_adapters({"it": layer}, rank=3, alpha=6, dropout=0.5, dora=dora)
    stir(layer)
    x = torch.randn(7, 40)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, two = layer(x), layer(x)
    torch.set_rng_state(state)
    assert torch.equal(layer(x), one) and not torch.equal(one, two)
    layer.eval()
    assert torch.allclose(layer(x).double(), written_out(layer, x), atol=1e-4)


def test_gradients_reach_the_adapter_alone():
    layer = linear()
    add_adapters({"it": layer}, rank=2, alpha=3, dora=True)
    stir(layer)
    layer(torch.randn(4, 6)).square().sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is None
    assert all(p.grad is not None and p.grad.any() for p in layer.adapter.parameters())


def test_the_length_that_dora_divides_by_gets_no_gradient():
    """The gradient of the magnitude is that of a plain scale; B's has no part through the norm."""
    layer, x = linear(bias=False), torch.randn(4, 6)
    add_adapters({"it": layer}, rank=2, alpha=2, dora=True)
    stir(layer)
    [(_, _, adapter)] = adapters_of(layer)
    layer(x).square().sum().backward()
    b = adapter.b.detach().clone().requires_grad_()
    whole = layer.weight + b @ adapter.a.detach()
    ratio = adapter.magnitude.detach() / whole.detach().norm(dim=1)
    (x @ (ratio[:, None] * whole).T).square().sum().backward()
    assert torch.allclose(adapter.b.grad, b.grad, rtol=1e-4, atol=1e-4 * float(b.grad.abs().max()))


def test_bfloat16_keeps_its_dtype_and_merges_with_one_rounding():
    layer = linear(32, 16).bfloat16()
    add_adapters({"it": layer}, rank=4, alpha=8, dtype=torch.float32)
    stir(layer)
    [(_, _, adapter)] = adapters_of(layer)
    assert {p.dtype for p in adapter.parameters()} == {torch.float32}
    assert layer(torch.randn(2, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16
    wanted = (layer.weight.float() + adapter.delta()).bfloat16()
    merge(layer)
    assert torch.equal(layer.weight, wanted)


def test_joint_layers_run_their_parts():
    q, k = linear(6, 5, seed=1), linear(6, 3, False, seed=2)
    joint, x = Joint(q, k), torch.randn(2, 6)
    add_adapters({"q": q}, rank=2, alpha=4)
    stir(q)
    assert torch.equal(joint.whole(x), torch.cat((q(x), k(x)), -1))
    assert torch.allclose(joint.whole(x)[:, :5].double(), written_out(q, x), atol=1e-4)


@pytest.mark.parametrize("dora", [False, True])
def test_packing_leaves_adapted_layers_as_they_are(dora):
    model = tiny_model()
    add_adapters(matrices_of(model.language, ("q", "up")), rank=2, alpha=4, dora=dora)
    stir(model)
    x = torch.randn(1, 4, 20)
    block = model.language.blocks[0]
    mlp: GatedMlp = block.mlp
    with torch.no_grad():
        wanted = mlp(x), block.attn.qkv.whole(x)
        pack(model)
        assert block.attn.q.kernel is None and block.attn.out.kernel is not None
        for found, value in zip((mlp(x), block.attn.qkv.whole(x)), wanted, strict=True):
            assert torch.allclose(found, value, atol=1e-5)
        unpack(model)
        assert torch.equal(mlp(x), wanted[0])


def test_a_packed_layer_cannot_be_adapted():
    model = tiny_model()
    pack(model)
    with pytest.raises(WeightError, match=r"cannot be adapted.*unpack"):
        add_adapters(matrices_of(model.language), rank=2, alpha=4)


def test_twice_is_refused_and_nothing_is_left_half_done():
    model = tiny_model()
    layers = matrices_of(model.language)
    add_adapters({"blocks.2.mlp.down": layers["blocks.2.mlp.down"]}, rank=2, alpha=4)
    with pytest.raises(WeightError, match=r"blocks\.2\.mlp\.down.*has an adapter already"):
        add_adapters(layers, rank=2, alpha=4)
    assert len(list(adapters_of(model))) == 1


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(TrainError, match=next(iter(wrong))):
        add_adapters({"it": linear()}, **{"rank": 2, "alpha": 4.0, **wrong})


def test_removed_adapters_leave_the_base():
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    add_adapters(matrices_of(model.language), rank=2, alpha=4, dora=True)
    stir(model)
    with pytest.raises(WeightError, match=r"attn\.q.*has an adapter.*save_adapters"):
        refuse_adapted(model)
    remove(model)
    refuse_adapted(model)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_copy_has_adapters_of_its_own():
    layer = linear()
    add_adapters({"it": layer}, rank=2, alpha=4)
    stir(layer)
    other, x = copy.deepcopy(layer), torch.randn(2, 6)
    wanted = layer(x)
    with torch.no_grad():
        layer.adapter.b.zero_()
    assert torch.equal(other(x), wanted)
