"""Matrices laid out for oneDNN against the plain ones, and what a packed model refuses."""

# B sequences  T tokens  I in  O out  V vocabulary

from __future__ import annotations

import copy
import resource
import sys
import weakref

import pytest
import torch
from tests.helpers.tiny import DECODERS, STOPS, item, tiny_model, tiny_spec, words
from torch.nn import functional as F

from sightline.core.errors import TrainError, WeightError
from sightline.model.generate import Decoding, generate
from sightline.model.reference import reference_greedy, reference_logits
from sightline.nn import packed
from sightline.nn.linear import Joint, Linear, Matrix
from sightline.nn.masks import Mask
from sightline.nn.mlp import GatedMlp, PlainMlp, activate
from sightline.nn.packed import Packed, native, pack, unpack
from sightline.spec.sampling import Sampling

DTYPES = [torch.bfloat16, torch.float32]
SHAPES = [(1, 1), (5, 7), (33, 64), (96, 40), (256, 300)]
ONE = item(words(3, 1), 1, words(4, 2), 1, seed=1)


def linear(inputs: int, outputs: int, dtype=torch.float32, *, bias: bool = True) -> Linear:
    made = Linear(inputs, outputs, bias=bias).to(dtype)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=inputs**-0.5)
    return made


def model_of(case: str = "base", dtype=torch.float32, **sections):
    return tiny_model(tiny_spec(language=DECODERS[case], **sections)).to(dtype)


def assert_right(y, layer, x):
    """bfloat16: the exact result rounded once, at most one step off; float32: to 1e-5."""
    weight, bias = (p if p is None else p.double() for p in (layer.weight, layer.bias))
    relative = 2**-8 if x.dtype == torch.bfloat16 else 0
    assert y.dtype == x.dtype
    exact = F.linear(x.double(), weight, bias)
    torch.testing.assert_close(y.double(), exact, rtol=relative, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_products_are_right(dtype, inputs, outputs, bias):
    made = linear(inputs, outputs, dtype, bias=bias)
    plain = copy.deepcopy(made)
    pack(made)
    assert isinstance(made.kernel, Packed)
    for shape in ((), (1,), (2, 3), (577,), (2, 0), (2, 3, 4)):
        x = torch.randn(*shape, inputs, dtype=dtype)
        assert_right(made(x), plain, x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@torch.no_grad()
def test_inputs_need_not_be_contiguous(dtype):
    made = linear(8, 12, dtype)
    plain = copy.deepcopy(made)
    pack(made)
    wide = torch.randn(3, 5, 16, dtype=dtype)
    for x in (wide[..., ::2], wide[..., 4:12], wide[:, 1::2, :8], wide[..., :8].transpose(0, 1)):
        assert_right(made(x), plain, x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", ["gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "silu"])
@pytest.mark.parametrize("mlp", [PlainMlp, GatedMlp])
@torch.no_grad()
def test_fused_activations_are_the_same_functions(dtype, kind, mlp):
    made = mlp(24, 40, kind, bias=True).to(dtype)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    first = made.up if mlp is PlainMlp else made.gate
    x = torch.randn(50, 24, dtype=dtype)
    exact = copy.deepcopy(made).double()
    inner = activate((exact.up if mlp is PlainMlp else exact.gate)(x.double()), kind)
    plain_error = (made(x) - exact(x.double())).abs()
    pack(made)
    assert (made(x) - exact(x.double())).abs().max() < 1.2 * plain_error.max() + 1e-6
    assert first.kernel.fuses(kind) is (kind in ("gelu", "gelu_tanh", "relu", "silu"))
    if first.kernel.fuses(kind):
        step = 2**-8 if dtype == torch.bfloat16 else 1e-6
        torch.testing.assert_close(first.kernel(x, kind).double(), inner, rtol=step, atol=2 * step)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("biases", [(True, True, True), (False, True, False), (False,) * 3])
@torch.no_grad()
def test_a_joint_gives_each_part_its_rows(dtype, biases):
    parts = [linear(16, n, dtype, bias=b) for n, b in zip((24, 8, 1), biases, strict=True)]
    holder = torch.nn.ModuleList(parts)
    holder.joint = Joint(*parts)
    plain = copy.deepcopy(parts)
    pack(holder)
    assert isinstance(holder.joint.kernel, Packed)
    x = torch.randn(2, 5, 16, dtype=dtype)
    assert torch.equal(holder.joint.whole(x), torch.cat(holder.joint(x), -1))
    for part, together, before in zip(parts, holder.joint(x), plain, strict=True):
        assert_right(together, before, x)
        assert_right(part(x), before, x)


def assert_logits_agree(model, plain, tolerance):
    fast = reference_logits(model, ONE)
    assert not torch.equal(fast, torch.zeros_like(fast))
    assert (fast - plain).abs().max() < tolerance


@pytest.mark.parametrize("case", DECODERS)
def test_a_packed_model_is_the_model_in_float32(case):
    model = model_of(case)
    plain = reference_logits(model, ONE)
    pack(model)
    assert_logits_agree(model, plain, 1e-5)


@pytest.mark.parametrize("case", ["base", "biases", "tied_head", "qk_norm", "gemma", "falcon"])
def test_a_packed_model_is_the_model_in_bfloat16(case):
    """Against float32: packing adds nothing to the error that bfloat16 has anyway."""
    exact = reference_logits(model_of(case), ONE)
    model = model_of(case, torch.bfloat16)
    error = (reference_logits(model, ONE) - exact).abs()
    pack(model)
    packed_error = (reference_logits(model, ONE) - exact).abs()
    assert packed_error.max() < 1.5 * error.max() + 2**-8
    assert packed_error.mean() < 1.2 * error.mean() + 2**-9


@pytest.mark.parametrize("mlp", ["plain", "swiglu"])
@pytest.mark.parametrize("depth", [1, 3])
def test_packed_encoders_and_connectors_too(mlp, depth):
    model = model_of(vision={"mlp": mlp, "activation": "quick_gelu"}, connector={"depth": depth})
    plain = model.encode([ONE.visual])
    pack(model)
    with torch.no_grad():
        torch.testing.assert_close(model.encode([ONE.visual]), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", DECODERS)
def test_cached_answers_of_a_packed_model_are_those_of_the_slow_path(case):
    model = model_of(case)
    plain = reference_greedy(model, ONE, 12)
    pack(model)
    fast = [t for (t,) in generate(model, [ONE], Sampling(max_tokens=12, temperature=0))]
    assert fast == plain
    assert len(plain) == 12 or plain[-1] in STOPS


@torch.inference_mode()
def test_a_packed_model_decodes_a_padded_batch():
    model = model_of("biases")
    items = [ONE, item(words(2, 3), seed=2)]
    plain = Decoding(model, items, 3)
    pack(model)
    fast = Decoding(model, items, 3)
    for token in (5, 9):
        torch.testing.assert_close(fast.logits_BV, plain.logits_BV, rtol=0, atol=1e-5)
        for decoding in (fast, plain):
            decoding.step([token, token])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", ["base", "biases", "tied_head", "head_bias"])
def test_unpacking_gives_back_every_bit(dtype, case):
    model = model_of(case, dtype)
    model.connector.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    trains = {name: p.requires_grad for name, p in model.named_parameters()}
    pack(model)
    unpack(model)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == trains
    storages = [p.untyped_storage() for p in model.parameters()]
    assert len({s.data_ptr() for s in storages}) == len(storages)
    assert all(s.nbytes() == p.nbytes for s, p in zip(storages, model.parameters(), strict=True))


def test_an_unpacked_model_trains():
    model = model_of()
    pack(model)
    unpack(model)
    model.language.logits(model.language.norm(torch.randn(1, 2, 20))).sum().backward()
    assert model.language.head.weight.grad is not None


def test_plain_values_are_freed_but_stay_named():
    model = model_of("tied_head", torch.bfloat16)
    matrices = [m for m in model.modules() if isinstance(m, Linear)]
    values = [weakref.ref(m.weight.untyped_storage()) for m in matrices]
    shapes = {name: (p.shape, p.dtype) for name, p in model.named_parameters()}
    pack(model)
    assert all(value() is None for value in values)
    assert all(m.weight.device.type == "meta" for m in matrices)
    assert {name: (p.shape, p.dtype) for name, p in model.named_parameters()} == shapes
    assert model.language.embed.weight.device.type == "cpu"
    assert model.dtype == torch.bfloat16


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone is asked to keep memory")
def test_later_passes_find_the_pages_of_the_first():
    """180 MB in six blocks, freed and asked for again: the system is not asked for new pages."""
    pack(linear(4, 3))

    def new_pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [torch.ones(30 << 20, dtype=torch.uint8) for _ in range(6)]
        assert all(block[-1] for block in blocks)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    passes = [new_pages() for _ in range(8)]  # the first ones may find other holes than the last
    assert min(passes) * resource.getpagesize() < 10 << 20


def test_packing_twice_and_unpacking_twice_change_nothing():
    model = model_of("tied_head")
    plain = reference_logits(model, ONE)
    pack(model)
    matrices = [m for m in model.modules() if isinstance(m, Matrix)]
    kernels = [m.kernel for m in matrices]
    pack(model)
    assert all(m.kernel is kernel for m, kernel in zip(matrices, kernels, strict=True))
    unpack(model)
    unpack(model)
    assert torch.equal(reference_logits(model, ONE), plain)


REFUSED = {
    "saved": lambda m: m.state_dict(),
    "loaded into": lambda m: m.load_state_dict({}, strict=False),
    "moved or cast": lambda m: m.float(),
}


@pytest.mark.parametrize("verb", REFUSED)
@pytest.mark.parametrize("part", ["", "language.head", "language.blocks.0.attn.q", "vision"])
def test_a_packed_model_is_not_saved_loaded_or_moved(verb, part):
    model = model_of("tied_head")
    pack(model)
    with pytest.raises(WeightError, match=f"model: cannot be {verb}.*packed.unpack"):
        REFUSED[verb](model.get_submodule(part))
    unpack(model)
    REFUSED[verb](model.get_submodule(part))


@pytest.mark.parametrize("trained", ["embed", "norm", "mlp.down", "attn.q"])
def test_a_packed_model_is_not_trained(trained):
    """Whether the gradient would pass through a packed matrix or belong to it."""
    model = model_of()
    model.requires_grad_(False)
    pack(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained in name)
    with pytest.raises(TrainError, match=r"model: .*gradients.*packed.unpack"):
        model.language(
            model.language.embed_tokens(torch.tensor([[5, 6]])),
            torch.arange(2)[None, None],
            Mask(),
        ).sum().backward()
        raise AssertionError("trained in silence")


def test_frozen_parts_may_run_with_gradients_on():
    model = model_of().requires_grad_(False)
    pack(model)
    model.encode([ONE.visual])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=str)
def test_other_dtypes_stay_plain(dtype):
    made = linear(4, 3, dtype)
    pack(made)
    assert made.kernel is None
    made.state_dict()


def test_other_devices_stay_plain():
    made = linear(4, 3).to("meta")
    pack(made)
    assert made.kernel is None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_where_onednn_is_missing_everything_stays_plain_and_equal(monkeypatch, dtype):
    model = model_of(dtype=dtype)
    plain = reference_logits(model, ONE)
    monkeypatch.setattr(packed, "native", lambda _: False)
    pack(model)
    assert torch.equal(reference_logits(model, ONE), plain)
    model.state_dict()


def test_native_follows_what_torch_was_built_with(monkeypatch):
    assert native(torch.float32)
    assert native(torch.bfloat16) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not any(native(dtype) for dtype in DTYPES)
