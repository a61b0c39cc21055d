"""QLoRA: matrices in NF4, by bitsandbytes' own functions as the oracle."""

# B rows  I in  O out

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers.tiny import item, tiny_model, tiny_spec
from torch import nn
from torch.nn import functional as F

from sightline.core.errors import TrainError, WeightError
from sightline.model.batch import collate
from sightline.model.vlm import Vlm
from sightline.nn.linear import Linear
from sightline.nn.lora import add_adapters, matrices_of, merge, refuse_adapted, remove
from sightline.nn.nf4 import Nf4, adapter_memory, bitsandbytes, quantise
from sightline.nn.packed import pack

pytest.importorskip("bitsandbytes")
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
doubles = pytest.mark.parametrize("double", [True, False], ids=["double", "single"])
WIDE = {"width": 64, "attention": {"heads": 4, "kv_heads": 2, "head_dim": 16}, "mlp": {"width": 96}}


def linear(inputs: int = 64, outputs: int = 48, bias: bool = True) -> Linear:
    made = Linear(inputs, outputs, bias=bias)
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    return made


def qlora(dora: bool = False, double: bool = True) -> Vlm:
    """A text model in NF4 with adapters on q, v and down."""
    model = tiny_model(tiny_spec(language=WIDE)).requires_grad_(False)
    quantise(matrices_of(model.language).values(), double=double)
    add_adapters(matrices_of(model.language, ("q", "v", "down")), rank=4, alpha=8, dora=dora)
    return model


def logits_of(model: Vlm) -> torch.Tensor:
    return model.language.logits(model(collate([item(5, 1, 4)], 0, "right")))


@doubles
@dtypes
def test_product_is_that_of_the_dequantised_matrix(dtype, double):
    layer = linear().to(dtype)
    plain = layer.weight.detach().clone()
    f = bitsandbytes("qlora").functional
    codes, state = f.quantize_4bit(plain, compress_statistics=double, quant_type="nf4")
    wanted = f.dequantize_4bit(codes, state)
    quantise([layer], double=double)
    assert layer.weight is None and layer.values.dtype == dtype
    assert torch.equal(layer.values, wanted)
    error = (layer.values - plain).float().norm() / plain.float().norm()
    assert 0.08 < float(error) < 0.11  # NF4's on values from a normal distribution
    x = torch.randn(2, 5, 64, dtype=dtype, requires_grad=True)
    z = x.detach().clone().requires_grad_()
    out, product = layer(x), F.linear(z, wanted, layer.bias)
    assert torch.equal(out, product)
    grad = torch.randn_like(out)
    out.backward(grad)
    product.backward(grad)
    assert torch.equal(x.grad, z.grad)


def test_the_dequantised_matrix_is_not_kept_for_the_backward_pass():
    layer, kept = linear(), []
    quantise([layer])
    x = torch.randn(3, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape), lambda _: None):
        layer(x)
        assert (48, 64) not in kept
        F.linear(x, layer.values)
    assert (48, 64) in kept or (64, 48) in kept


@pytest.mark.parametrize(("double", "most"), [(True, 0.26), (False, 0.2825)])
def test_four_bits_take_little_and_are_measured(double, most, capsys):
    model = tiny_model(tiny_spec(language=WIDE)).bfloat16()
    whole = adapter_memory(model)
    layers = matrices_of(model.language)
    plain = sum(layer.weight.nbytes for layer in layers.values())
    quantise(layers.values(), double=double)
    add_adapters(matrices_of(model.language, ("q",)), rank=2, alpha=4)
    memory = adapter_memory(model)
    stored = sum(b.nbytes for layer in layers.values() for b in layer.store.buffers())
    assert memory.quantised_layers == len(layers) == 21
    assert (memory.quantised_bytes, memory.plain_bytes) == (stored, plain)
    assert memory.share == stored / plain <= most < 0.3
    assert memory.adapter_bytes == 2 * memory.adapter_parameters == 3 * 2 * (2 * 64 + 2 * 64)
    assert memory.total_bytes == whole.total_bytes - plain + stored + memory.adapter_bytes
    print(memory)
    printed = capsys.readouterr().out
    assert "21 matrices in NF4" in printed and f"{memory.share:.3f} of bfloat16" in printed


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_a_step_moves_adapters_alone(dora):
    model = qlora(dora)
    before = copy.deepcopy(model.state_dict())
    trained = [p for p in model.parameters() if p.requires_grad]
    for _ in range(2):
        optimizer = torch.optim.AdamW(trained, lr=0.01)
        logits_of(model).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == (".adapter." not in name), name


@doubles
def test_saved_and_loaded_it_is_equal_bit_for_bit(double: bool, tmp_path: Path):
    model = qlora(double=double)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".adapter." in name:
                parameter.normal_()
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, tmp_path / "it")
    other = tiny_model(tiny_spec(language=WIDE), seed=1).requires_grad_(False)
    quantise(matrices_of(other.language).values(), double=double)
    add_adapters(matrices_of(other.language, ("q", "v", "down")), rank=4, alpha=8, seed=3)
    assert not torch.equal(logits_of(other), logits_of(model))
    other.load_state_dict(load_file(tmp_path / "it"))
    assert torch.equal(logits_of(other), logits_of(model))
    state, same = model.state_dict(), other.state_dict()
    assert all(torch.equal(state[name], same[name]) for name in state)


def test_casting_a_model_casts_values_and_not_scales():
    model = qlora(double=False)
    store = model.language.blocks[0].attn.q.store
    before = {n: b.clone() for n, b in store.named_buffers()}
    model.to(torch.bfloat16)
    assert store.values().dtype == torch.bfloat16
    assert all(torch.equal(before[n], b) for n, b in store.named_buffers())
    assert logits_of(model.float()).dtype == torch.float32


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_merging_folds_into_the_dequantised_matrix(dora):
    model = qlora(dora)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("adapter.b"):
                parameter.normal_(0, 0.1)
    wanted = logits_of(model).detach()
    with pytest.raises(WeightError, match="merge first"):
        refuse_adapted(model)
    assert len(merge(model)) == 9
    refuse_adapted(model)
    assert not [m for m in model.modules() if isinstance(m, Nf4)]
    assert float((logits_of(model) - wanted).detach().abs().max()) <= 1e-4


def test_removing_leaves_what_the_codes_stand_for():
    layer = linear()
    quantise([layer])
    values = layer.values
    remove(layer)
    assert torch.equal(layer.weight, values) and not layer.weight.requires_grad


def test_packing_leaves_four_bits_as_they_are():
    model = qlora()
    with torch.no_grad():
        wanted = logits_of(model)
        pack(model)
        assert model.language.blocks[0].attn.q.kernel is None
        assert float((logits_of(model) - wanted).abs().max()) <= 1e-4


def test_dropout_of_dora_reads_the_stored_matrix():
    """PEFT's DoRA drops what the frozen matrix reads, too; through NF4 that is its product."""
    layer = linear(bias=False).train()
    quantise([layer])
    plain = linear(bias=False).train()
    with torch.no_grad():
        plain.weight.copy_(layer.values)
    x = torch.randn(3, 64)
    found = []
    for each in (layer, plain):
        add_adapters({"it": each}, rank=2, alpha=4, dropout=0.4, dora=True)
        with torch.no_grad():
            each.adapter.b.fill_(0.3)
        torch.manual_seed(0)
        found.append(each(x))
    assert torch.allclose(*found, atol=1e-5)


def test_what_cannot_be_quantised_is_refused():
    with torch.device("meta"):
        empty = Linear(4, 4, bias=False)
    with pytest.raises(WeightError, match="no values yet"):
        quantise([empty])
    model = tiny_model()
    pack(model)
    with pytest.raises(WeightError, match=r"cannot be quantised.*unpack"):
        quantise(matrices_of(model.language).values())


def test_without_bitsandbytes_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr("importlib.import_module", lambda name: (_ for _ in ()).throw(ImportError))
    with pytest.raises(TrainError, match=r"qlora: needs bitsandbytes.*sightline\[train\]"):
        quantise([linear()])


def test_importing_it_asks_no_hub_for_code(monkeypatch):
    """With `kernels` installed its import would download; it must not be found meanwhile."""
    seen = {}

    def imported(name: str) -> str:
        seen["kernels"] = sys.modules.get("kernels", "absent")
        seen["level"] = logging.getLogger("bitsandbytes").level
        return name

    before = object()
    monkeypatch.delitem(sys.modules, "bitsandbytes", raising=False)
    monkeypatch.setitem(sys.modules, "kernels", before)
    monkeypatch.setattr("importlib.import_module", imported)
    level = logging.getLogger("bitsandbytes").level
    assert bitsandbytes("qlora") == "bitsandbytes"
    assert seen == {"kernels": None, "level": logging.ERROR}
    assert sys.modules["kernels"] is before
    assert logging.getLogger("bitsandbytes").level == level
