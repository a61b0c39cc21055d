"""PEFT's folders: fused matrices, what is kept beside, and everything that is refused."""

# I in  O out  R rank

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.helpers.tiny import tiny_model, tiny_spec
from torch import Tensor, nn

from sightline.core.errors import WeightError
from sightline.families import internlm2, qwen1, read_spec
from sightline.families.declared import Declared, Source
from sightline.families.trees import tree_of
from sightline.model.vlm import Vlm
from sightline.nn.linear import Linear
from sightline.nn.lora import adapters_of, add_adapters, matrices_of
from sightline.spec.rules import Fuse, Step
from sightline.weights import load_adapters, load_merged, save, save_adapters
from sightline.weights.export import export_hf
from sightline.weights.moves import to_disk
from sightline.weights.peft import from_pair, to_pair

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
LLAVA = {"vision": {"post_norm": "unused"}}


@torch.no_grad()
def stir(module: nn.Module, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    for _, _, adapter in adapters_of(module):
        for name, parameter in adapter.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if name == "magnitude" else 0.2 * noise)
    return module


def llava(seed: int = 0) -> Vlm:
    """A model that LLaVA's format can express."""
    return tiny_model(tiny_spec(**LLAVA), seed)


def adapted(**options: Any) -> Vlm:
    """Adapters on its encoder and decoder."""
    model = llava()
    for part in (model.vision, model.language):
        add_adapters(matrices_of(part), **{"rank": 2, "alpha": 4.0, **options})
    return stir(model)


def own(model: nn.Module) -> dict[str, Any]:
    return {name: adapter for name, _, adapter in adapters_of(model)}


def assert_same(found: nn.Module, wanted: nn.Module) -> None:
    """Every adapter is there, with the same values, scale, dropout and kind."""
    left, right = own(found), own(wanted)
    assert left.keys() == right.keys()
    for name, adapter in right.items():
        other = left[name]
        assert dict(other.named_parameters()).keys() == dict(adapter.named_parameters()).keys()
        assert (other.alpha, other.dropout) == (adapter.alpha, adapter.dropout), name
        for key, value in adapter.named_parameters():
            assert torch.equal(dict(other.named_parameters())[key], value), f"{name}.{key}"


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / CONFIG
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def edit_tensors(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """As another tool writes it: without our words in the header."""
    tensors = load_file(folder / TENSORS)
    change(tensors)
    save_file(tensors, folder / TENSORS, {"format": "pt"})


# Fused matrices.


@st.composite
def fused(draw: st.DrawFn) -> tuple[Step, list[Linear], bool]:
    """A rule, layers of its sizes with adapters on some of them, and whether the file is DoRA."""
    rows = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    groups, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    names = tuple(f"{n}.weight" for n in "abcd"[: len(rows)])
    ranks = draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    dora = draw(st.booleans())
    linears = []
    for n, rank in zip(rows, ranks, strict=True):
        layer = Linear(inputs, n * groups, bias=False)
        nn.init.normal_(layer.weight)
        if rank:
            alpha, own_dora = draw(st.floats(0.5, 9)), dora and draw(st.booleans())
            add_adapters({"it": layer}, rank=rank, alpha=alpha, dora=own_dora)
            stir(layer, rank)
        linears.append(layer)
    rule = Fuse("it.weight", names, tuple(rows), groups)
    return Step(rule, ("it.weight",), names), linears, dora


@given(fused())
@settings(max_examples=80)
def test_a_fused_pair_adds_what_its_parts_add(case):
    step, linears, dora = case
    pair = to_pair(step, linears, dora)
    present = [layer.adapter for layer in linears if layer.adapter is not None]
    if not present:
        assert pair is None
        return
    assert pair.a.shape[0] == pair.b.shape[1] == sum(adapter.rank for adapter in present)
    zeros = [torch.zeros_like(layer.weight) for layer in linears]
    deltas = [z if m.adapter is None else m.adapter.delta()
              for z, m in zip(zeros, linears, strict=True)]  # fmt: skip
    [whole] = to_disk(step, deltas)
    assert torch.allclose(pair.b @ pair.a * pair.scale, whole, atol=1e-5)
    if dora:  # PEFT's formula with the fused matrix gives what ours give apart
        [base] = to_disk(step, [layer.weight for layer in linears])
        apart = [layer.weight if layer.adapter is None else layer.adapter.merged(layer.weight)
                 for layer in linears]  # fmt: skip
        total = base + whole
        folded = (pair.magnitude / total.norm(dim=1))[:, None] * total
        assert torch.allclose(folded, to_disk(step, apart)[0], atol=1e-5)
    for layer, back in zip(linears, from_pair(step, pair, linears), strict=True):
        if layer.adapter is None:
            assert back is None
            continue
        assert torch.equal(back.a, layer.adapter.a)
        assert torch.allclose(back.b * back.scale, layer.adapter.b * layer.adapter.scale)
        assert (back.magnitude is None) == (layer.adapter.magnitude is None)
    told_nothing = from_pair(step, replace(pair, parts=()), linears)
    for delta, back in zip(deltas, told_nothing, strict=True):
        assert torch.allclose(back.b @ back.a * back.scale, delta, atol=1e-5)


def thirds(parts: list[Tensor], kv_heads: int) -> Tensor:
    del kv_heads
    return torch.cat(parts)


def by_group(parts: list[Tensor], kv_heads: int) -> Tensor:
    """Queries, key and value of the first key-value head, then of the second."""
    each = [part.chunk(kv_heads) for part in parts]
    return torch.cat([chunk for group in zip(*each, strict=True) for chunk in group])


REMOTE: dict[str, tuple[Any, str, dict[str, Any], Callable[[list[Tensor], int], Tensor]]] = {
    "qwen": (qwen1, "transformer.h.{}.attn.c_attn",
             {"attention": {"kv_heads": 4, "qkv_bias": True}}, thirds),
    "internlm2": (internlm2, "model.layers.{}.attention.wqkv", {}, by_group),
}  # fmt: skip


@pytest.mark.parametrize("family", REMOTE)
def test_families_of_remote_code_have_their_own_names(family, tmp_path):
    """No class of theirs is here: what is added is written out by hand."""
    module, name, changes, dealt = REMOTE[family]
    decoder = tiny_model(tiny_spec(language=changes)).language
    declared = Declared(family, sources=(Source(tmp_path, module.rules(decoder.spec)),))
    for at, n in enumerate("qkv"):
        add_adapters(matrices_of(decoder, (f"attn.{n}",)), rank=2 + at, alpha=6, dora=False)
    stir(decoder)
    save_adapters(decoder, tmp_path, declared)
    stored, config = load_file(tmp_path / TENSORS), json.loads((tmp_path / CONFIG).read_text())
    assert config["r"] == 9 and config["target_modules"] == [name.format(i) for i in range(3)]
    for i in range(3):
        key = f"base_model.model.{name.format(i)}"
        found = stored[f"{key}.lora_B.weight"] @ stored[f"{key}.lora_A.weight"]
        parts = [decoder.blocks[i].attn.get_submodule(n).adapter.delta() for n in "qkv"]
        wanted = dealt(parts, decoder.spec.attention.kv_heads)
        assert torch.allclose(found * (config["lora_alpha"] / 9), wanted, atol=1e-6)
    again = tiny_model(tiny_spec(language=changes)).language
    load_adapters(again, tmp_path, declared)
    for key, adapter in own(again).items():
        assert adapter.rank == own(decoder)[key].rank
        assert torch.allclose(adapter.delta(), own(decoder)[key].delta(), atol=1e-6)


# What a folder keeps.


def test_kinds_and_dropouts_that_differ_by_part_come_back(tmp_path):
    def build() -> Vlm:
        model = llava()
        add_adapters(matrices_of(model.vision), rank=2, alpha=4, dropout=0.1)
        layers = matrices_of(model.language)
        add_adapters(layers, rank=3, alpha=5, dora=True, dropout=0.25)
        return model

    model = stir(build())
    save_adapters(model, tmp_path)
    again = llava()
    load_adapters(again, tmp_path)
    assert_same(again, model)


def test_own_names_for_a_model_that_no_family_has(tmp_path):
    spec = tiny_spec(connector={"kind": "resampler", "latents": 3, "depth": 2})
    model = tiny_model(spec)
    add_adapters(matrices_of(model.connector), rank=2, alpha=4)
    add_adapters(matrices_of(model.language, ("q",)), rank=3, alpha=4)
    stir(model)
    with pytest.raises(WeightError, match=r"connector: .*no other tool has it.*names='own'"):
        save_adapters(model, tmp_path)
    save_adapters(model, tmp_path, names="own", full=("vision.blocks.0",))
    with safe_open(tmp_path / TENSORS, "pt") as file:
        assert "base_model.model.language.blocks.0.attn.q.lora_A.weight" in file.keys()
    again = tiny_model(spec, seed=5)
    names = load_adapters(again, tmp_path)
    assert "connector.blocks.1.q" in names and "language.blocks.2.attn.q" in names
    assert_same(again, model)
    assert torch.equal(again.vision.blocks[0].mlp.up.weight, model.vision.blocks[0].mlp.up.weight)


def test_a_model_of_ours_takes_the_names_that_it_is_exported_with(tmp_path):
    model = adapted()
    save_adapters(model, tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    assert "model.language_model.layers.0.self_attn.q_proj" in config["target_modules"]
    assert "model.vision_tower.encoder.layers.1.mlp.fc1" in config["target_modules"]
    assert config["base_model_name_or_path"] is None and config["modules_to_save"] is None
    again = llava()
    load_adapters(again, tmp_path)
    assert_same(again, model)


def test_adapters_take_the_dtype_of_their_matrix(tmp_path):
    save_adapters(adapted(), tmp_path)
    for dtype, wanted in ((None, torch.bfloat16), (torch.float32, torch.float32)):
        model = llava().bfloat16()
        load_adapters(model, tmp_path, dtype=dtype)
        assert {p.dtype for a in own(model).values() for p in a.parameters()} == {wanted}


def test_plain_models_alone_are_saved_and_exported(tmp_path):
    model = adapted()
    with pytest.raises(WeightError, match=r"has an adapter.*merge first"):
        save(model, tmp_path / "own")
    with pytest.raises(WeightError, match=r"has an adapter.*merge first"):
        export_hf(model, tmp_path / "hub")
    assert not (tmp_path / "own").exists() and not list(tmp_path.glob("hub/*.safetensors"))


def test_several_folders_fold_one_after_the_other(tmp_path):
    save(llava(), tmp_path / "base")
    wanted = llava()
    for name in ("one", "two"):
        model = llava()
        add_adapters(matrices_of(model.language, ("q",)), rank=2, alpha=4)
        stir(model, len(name) + (name == "two"))
        save_adapters(model, tmp_path / name)
        for layer, adapter in own(model.language).items():
            with torch.no_grad():
                wanted.language.get_submodule(layer).weight.add_(adapter.delta())
    merged = load_merged(tmp_path / "base", tmp_path / "one", tmp_path / "two").model
    for name, parameter in merged.named_parameters():
        assert torch.allclose(parameter, wanted.get_parameter(name), atol=1e-6), name


# What is refused.


def test_names_in_every_spelling_lead_to_one_module():
    tree = tree_of("llava")
    for name in ("vision_tower.vision_model.x", "vision_tower.x", "model.vision_tower.x"):
        assert tree.module_name(name) == "model.vision_tower.x"
    assert tree_of("llama").module_name("layers.0.x") == "model.layers.0.x"
    assert tree_of("llama").module_name("model.layers.0.x") == "model.layers.0.x"
    assert tree_of("qwen2_vl").module_name("model.layers.0.x") == "model.language_model.layers.0.x"


Q = "base_model.model.model.language_model.layers.1.self_attn.q_proj"
BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "kind": (lambda c: c.update(peft_type="IA3"), "peft_type: is 'IA3'"),
    "pissa": (lambda c: c.update(init_lora_weights="pissa"), "changes the base model"),
    "bias": (lambda c: c.update(bias="all"), "bias: is 'all'"),
    "unknown": (lambda c: c.update(lora_bias=True), "lora_bias: is True.*not understood"),
    "transposed": (lambda c: c.update(fan_in_fan_out=True), "fan_in_fan_out"),
    "rank": (lambda c: c.update(r=3), "has rank 2, adapter_config.json says 3"),
    "dora": (lambda c: c.update(use_dora=True), "has a, b where a, b, magnitude belong"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_configs_that_say_something_else_are_refused(case, tmp_path):
    change, says = BROKEN[case]
    save_adapters(adapted(), tmp_path)
    edit(tmp_path, change)
    model = llava()
    with pytest.raises(WeightError, match=says):
        load_adapters(model, tmp_path)
    assert not own(model)


def test_keys_of_newer_versions_that_are_off_do_no_harm(tmp_path):
    save_adapters(adapted(), tmp_path)
    edit(tmp_path, lambda c: c.update(some_new_config=None, use_something=False, more={}))
    load_adapters(llava(), tmp_path)


TENSOR_FAULTS: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "missing": (lambda t: t.pop(f"{Q}.lora_B.weight"), "has a where a, b belong"),
    "shape": (
        lambda t: t.update({f"{Q}.lora_A.weight": torch.zeros(2, 19)}),
        r"q_proj\.lora_A.*\[2, 19\]; the model needs \[2, 20\]",
    ),
    "stranger": (
        lambda t: t.update({Q.replace(".1.", ".7.") + f".lora_{n}.weight":
                            t[f"{Q}.lora_{n}.weight"].clone() for n in "AB"}),
        r"layers\.7.*has no place for it.*is it model\.language_model\.layers",
    ),
    "full stranger": (lambda t: t.update({"base_model.model.tail.weight": torch.ones(2)}), "tail"),
    "full shape": (
        lambda t: t.update({
            "base_model.model.model.multi_modal_projector.linear_1.bias": torch.ones(3)
        }),
        r"has shape \[3\], connector\.layers\.0\.bias \[20\]",
    ),
    "embedding": (
        lambda t: t.update({"base_model.model.embed_tokens.lora_embedding_A": torch.ones(2, 3)}),
        "adapter of another kind",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSOR_FAULTS)
def test_tensors_without_a_place_are_refused_and_nothing_changes(case, tmp_path):
    change, says = TENSOR_FAULTS[case]
    save_adapters(adapted(), tmp_path)
    edit_tensors(tmp_path, change)
    model = llava()
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(WeightError, match=says):
        load_adapters(model, tmp_path)
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_folders_that_are_none_are_refused(tmp_path):
    with pytest.raises(WeightError, match="no folder"):
        load_adapters(llava(), tmp_path / "nowhere")
    (tmp_path / CONFIG).write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(WeightError, match=r"adapter_model\.bin.*safe_serialization"):
        load_adapters(llava(), tmp_path)
    (tmp_path / TENSORS).write_bytes(b"\x09\0\0\0\0\0\0\0nonsense!")
    (tmp_path / CONFIG).write_text('{"peft_type": "LORA"}')
    with pytest.raises(WeightError, match="cannot be read"):
        load_adapters(llava(), tmp_path)


def test_a_second_load_is_refused(tmp_path):
    model = adapted()
    save_adapters(model, tmp_path)
    with pytest.raises(WeightError, match="has an adapter already"):
        load_adapters(model, tmp_path)


def test_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(WeightError, match="has no adapters"):
        save_adapters(llava(), tmp_path)
    model = adapted()
    with pytest.raises(WeightError, match="'bridge' begins no tensor's name"):
        save_adapters(model, tmp_path, full=("bridge",))
    with pytest.raises(
        WeightError, match=r"attn\.k.*has an adapter and was not trained as a whole"
    ):
        save_adapters(model, tmp_path, full=("vision",))
    with pytest.raises(WeightError, match="config alone"):
        save_adapters(model, tmp_path, Declared("llava"))
    assert not (tmp_path / TENSORS).exists()


def test_a_layer_that_the_folder_lacks_is_refused(tmp_path):
    model = adapted()
    export_hf(llava(), tmp_path)
    declared = read_spec(tmp_path)
    [source] = declared.sources
    rules = tuple(r for r in source.rules if "gate" not in str(r))
    lacking = replace(declared, sources=(replace(source, rules=rules),))
    with pytest.raises(WeightError, match=r"mlp\.gate.*it is new"):
        save_adapters(model, tmp_path / "adapters", lacking)


def test_full_training_of_four_bits_is_refused(tmp_path):
    nf4 = pytest.importorskip("sightline.nn.nf4")
    pytest.importorskip("bitsandbytes")
    model = adapted()
    nf4.quantise(matrices_of(model.connector).values())
    nf4.quantise(matrices_of(model.language).values())
    save_adapters(model, tmp_path)
    with pytest.raises(WeightError, match="lies in NF4 and was not trained as a whole"):
        save_adapters(model, tmp_path, full=("connector",))
    again = llava()
    load_adapters(again, tmp_path)
    assert_same(again, model)
