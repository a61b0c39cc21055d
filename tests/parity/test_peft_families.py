"""Adapters of every family in PEFT: names, shapes and what they add, fused matrices included.

PEFT folds our adapter into transformers' model, which is saved and read by our own, proved loader:
the weights must be those of our merged model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.parity import (
    blip,
    gemma,
    idefics3,
    internvl,
    lowrank,
    qwen2_vl,
    test_idefics,
    test_language,
    test_llava,
    test_llava_next,
    test_llava_onevision,
    test_mistral3,
    test_mllama,
    test_towers,
)
from tests.parity import reference as ref

from sightline.core.errors import WeightError
from sightline.families import read_spec
from sightline.families.declared import Declared
from sightline.language.decoder import Decoder
from sightline.model.vlm import Vlm
from sightline.nn.lora import add_adapters, matrices_of, merge
from sightline.weights import load, load_adapters, load_decoder, load_vision, save_adapters
from sightline.weights.places import book_of
from sightline.weights.state import state_of

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
EQUAL = 1e-5  # of merged weights, around 0.2 in float32
Make = Callable[[], Any]

MODELS: dict[str, Make] = {
    "llava": lambda: test_llava.reference_of("clip-llama"),
    "llava siglip": lambda: test_llava.reference_of("siglip-qwen2"),
    "llava dinov2": lambda: test_llava.reference_of("dinov2-llama"),
    "llava_next": lambda: test_llava_next.next_of("mistral"),
    "llava_next_video": lambda: test_llava_next.video_of("llama"),
    "llava_onevision": lambda: test_llava_onevision.reference_of("clip-llama"),
    "qwen2_vl": lambda: qwen2_vl.reference_of("qwen2_vl"),
    "qwen2_5_vl": lambda: qwen2_vl.reference_of("qwen2_5_vl"),
    "qwen3_vl": lambda: qwen2_vl.reference_of("qwen3_vl"),
    "internvl": lambda: internvl.internvl("qwen2"),
    "qianfan": internvl.qianfan,
    "qianfan, its class's names": internvl.qianfan,
    "paligemma": gemma.paligemma,
    "gemma3": gemma.gemma3,
    "mistral3": test_mistral3.mistral3,
    "mllama": test_mllama.tiny,
    "idefics": test_idefics.tiny,
    "idefics3": idefics3.idefics3,
    "smolvlm": lambda: idefics3.idefics3("smolvlm"),
    "blip2": lambda: blip.blip2("opt"),
    "instructblip": lambda: blip.instructblip("llama"),
}
TEXTS: dict[str, Make] = {
    "llama": test_language.llama,
    "mistral": test_language.mistral,
    "qwen2": test_language.qwen2,
    "qwen3": test_language.qwen3,
    "gemma": test_language.gemma,
    "gemma2": test_language.gemma2,
    "gemma3_text": test_language.gemma3,
    "phi": test_language.phi,
    "opt": test_language.opt,
    "falcon 7B": test_language.falcon,
    "falcon 40B": lambda: test_language.falcon(new_decoder_architecture=True, num_kv_heads=2),
    "falcon rw": lambda: test_language.falcon(multi_query=False),
}
TOWERS: dict[str, Make] = {
    name: test_towers.TOWERS[name] for name in ("clip", "siglip", "dinov2", "dinov2 giant")
}
UNNAMED = ("gemma3",)  # its connector is a matrix without a module
# Modules that hold several matrices of ours, for families that have some.
FUSED = {
    "qwen2_vl": ("attn.qkv", 3), "qwen2_5_vl": ("attn.qkv", 3), "qwen3_vl": ("attn.qkv", 3),
    "blip2": ("self_attn.qkv", 3), "instructblip": ("self_attn.qkv", 3),
    "falcon 7B": ("query_key_value", 3), "falcon 40B": ("query_key_value", 3),
    "falcon rw": ("query_key_value", 3),
}  # fmt: skip

# DoRA where rows are dealt, and where they are not.
CASES = [
    *((name, False) for name in (*MODELS, *TEXTS, *TOWERS)),
    *((name, True) for name in ("qwen2_vl", "blip2", "falcon 7B", "falcon 40B", "dinov2 giant")),
    *((name, True) for name in ("llava", "mllama", "qianfan")),
]


@pytest.fixture(scope="module")
def peft() -> Any:
    """Imported once: it takes seconds."""
    return pytest.importorskip("peft")


def ours_of(declared: Declared) -> Any:
    if declared.is_model:
        return load(declared).model
    return load_vision(declared) if declared.language is None else load_decoder(declared)


def adapt(model: Any, name: str, dora: bool) -> None:
    """Adapters on all parts, of a rank for each matrix, with values as after training."""
    parts = [model.vision, model.language] if isinstance(model, Vlm) else [model]
    if isinstance(model, Vlm) and name not in UNNAMED:
        parts.append(model.connector)
    for part in parts:
        for at, (layer, linear) in enumerate(matrices_of(part).items()):
            add_adapters({layer: linear}, rank=1 + at % 3, alpha=2 + at % 2, dora=dora)
    lowrank.stir(model)


def names_without_a_tensor(ours: Any, declared: Declared, theirs: Any) -> list[str]:
    """Of all our tensors, adapted or not: PEFT skips in silence what it is told to keep whole."""
    book = book_of(ours, declared, "family")
    found = [book.tree.module_name(name) for step in book.steps for name in step.disk]
    return [name for name in found if name not in theirs.state_dict()]


def folded(peft: Any, theirs: Any, adapters: Path, folder: Path) -> Declared:
    """PEFT loads the adapters and merges them; the folder that transformers then writes."""
    model = peft.PeftModel.from_pretrained(theirs, adapters)
    layers = [m for m in model.modules() if isinstance(m, peft.tuners.lora.LoraLayer)]
    stored = load_file(adapters / "adapter_model.safetensors")
    assert len(layers) == sum(key.endswith("lora_A.weight") for key in stored)
    model.merge_and_unload().save_pretrained(folder)
    return read_spec(folder)


@pytest.mark.parametrize(("name", "dora"), CASES)
def test_peft_folds_what_we_fold(peft: Any, name: str, dora: bool, tmp_path: Path) -> None:
    theirs = (MODELS | TEXTS | TOWERS)[name]()
    if name in (*TEXTS, *TOWERS):
        theirs = ref.randomise(theirs)
    theirs.save_pretrained(tmp_path / "base", save_original_format="class" not in name)
    declared = read_spec(tmp_path / "base")
    ours = ours_of(declared)
    assert not names_without_a_tensor(ours, declared, theirs)
    adapt(ours, name, dora)
    save_adapters(ours, tmp_path / "adapters", declared)
    again = ours_of(declared)
    load_adapters(again, tmp_path / "adapters", declared)
    assert_same_adapters(ours, again)
    merge(ours)
    theirs = type(theirs).from_pretrained(tmp_path / "base")
    wanted = state_of(ours_of(folded(peft, theirs, tmp_path / "adapters", tmp_path / "folded")))
    found = state_of(ours)
    assert set(found) == set(wanted)
    for key, tensor in found.items():
        assert float((tensor - wanted[key]).detach().abs().max()) <= EQUAL, key
    if name in FUSED:
        assert_fused(tmp_path / "adapters", *FUSED[name])


def assert_same_adapters(ours: Any, again: Any) -> None:
    """Ranks, scales and values, q apart from k and v; a fold of two scales rounds once."""
    own = {name: adapter for name, _, adapter in lowrank.adapters_of(ours)}
    same = {name: adapter for name, _, adapter in lowrank.adapters_of(again)}
    assert own.keys() == same.keys()
    for name, adapter in own.items():
        assert adapter.rank == same[name].rank, name
        assert torch.equal(adapter.a, same[name].a), name
        gap = (adapter.delta() - same[name].delta()).detach().abs().max()
        assert float(gap) <= 1e-6, name
        if adapter.magnitude is not None:
            assert torch.equal(adapter.magnitude, same[name].magnitude), name


def assert_fused(folder: Path, module: str, count: int) -> None:
    """One pair of the sum of the ranks 1, 2 and 3, most of B zero."""
    stored = load_file(folder / "adapter_model.safetensors")
    keys = [key for key in stored if key.endswith(f"{module}.lora_B.weight")]
    assert keys
    for key in keys:
        rank = stored[key].shape[1]
        assert rank == stored[key.replace("lora_B", "lora_A")].shape[0]
        assert rank >= 3 and int((stored[key] != 0).sum(1).max()) < rank, count


def test_a_matrix_without_a_module_is_refused(tmp_path: Path) -> None:
    declared = read_spec(ref.saved(gemma.gemma3(), tmp_path))
    ours = load(declared).model
    add_adapters(matrices_of(ours.connector), rank=2, alpha=4)
    with pytest.raises(WeightError, match=r"mm_input_projection_weight is no linear module.*own"):
        save_adapters(ours, tmp_path / "adapters", declared)
    save_adapters(ours, tmp_path / "adapters", declared, names="own")
    again = load(declared).model
    load_adapters(again, tmp_path / "adapters", declared)
    assert_same_adapters(ours, again)


@pytest.mark.parametrize("kind", ["falcon 7B", "falcon 40B", "falcon rw"])
def test_logits_of_fused_texts_are_equal(peft: Any, kind: str, tmp_path: Path) -> None:
    theirs = ref.randomise(TEXTS[kind]())
    declared = read_spec(ref.saved(theirs, tmp_path / "base"))
    ours = load_decoder(declared)
    layers = {n: m for n, m in matrices_of(ours).items() if not n.endswith(".k")}
    add_adapters(layers, rank=4, alpha=6)
    lowrank.stir(ours)
    save_adapters(ours, tmp_path / "adapters", declared)
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapters").eval()
    items = {"text": ref.conversations(4)["text"]}
    assert ref.difference(ours, theirs, items) <= ref.TOLERANCE
    again = load_decoder(declared)
    load_adapters(again, tmp_path / "adapters", declared)
    assert not [n for n, _, _ in lowrank.adapters_of(again) if n.endswith(".k")]
    assert ref.difference(again, theirs, items) <= ref.TOLERANCE


def test_a_fused_adapter_of_peft_is_dealt(peft: Any, tmp_path: Path) -> None:
    """Its A belongs to q, k and v alike: each of ours gets the whole."""
    theirs = ref.randomise(TEXTS["falcon 40B"]())
    declared = read_spec(ref.saved(theirs, tmp_path / "base"))
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["query_key_value", "dense"])
    theirs = peft.get_peft_model(theirs, config)
    lowrank.stir(theirs)
    theirs.eval().save_pretrained(tmp_path / "adapters")
    ours = load_decoder(declared)
    names = load_adapters(ours, tmp_path / "adapters", declared)
    assert isinstance(ours, Decoder) and len(names) == 2 * 4
    items = {"text": ref.conversations(4)["text"]}
    assert ref.difference(ours, theirs, items) <= ref.TOLERANCE
