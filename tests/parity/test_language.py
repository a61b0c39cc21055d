"""Every text model alone against transformers: logits, cached greedy answers, all rope kinds."""

# B sequences  T tokens  V vocabulary

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOLERANCE
from torch import Tensor

from sightline.families import Declared, read_spec
from sightline.language.decoder import Decoder
from sightline.spec.language import LinearScaling
from sightline.weights import load_decoder

SEEN = 5 * TOLERANCE
FALCON = {k: v for k, v in TEXT.items() if k not in ("intermediate_size", "num_key_value_heads")}
ROPE: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "yarn, everything stated": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 16,
        "beta_fast": 8.0,
        "beta_slow": 0.5,
        "attention_factor": 1.3,
    },
    "yarn, mscale": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "mscale": 1.5,
        "mscale_all_dim": 0.5,
    },
}


def llama(**changes: Any) -> Any:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**TEXT | changes))


def rope(kind: str, **changes: Any) -> Any:
    return llama(rope_parameters={"rope_theta": 500.0, **ROPE[kind]}, **changes)


def mistral(**changes: Any) -> Any:
    return hf.MistralForCausalLM(hf.MistralConfig(**TEXT | {"sliding_window": None} | changes))


def qwen2(**changes: Any) -> Any:
    return hf.Qwen2ForCausalLM(hf.Qwen2Config(**TEXT | changes))


def qwen3(**changes: Any) -> Any:
    return hf.Qwen3ForCausalLM(hf.Qwen3Config(**TEXT | {"head_dim": 16} | changes))


def gemma(**changes: Any) -> Any:
    return hf.GemmaForCausalLM(hf.GemmaConfig(**TEXT | {"head_dim": 16} | changes))


GEMMA2 = {"head_dim": 16, "sliding_window": 6, "query_pre_attn_scalar": 5, "num_hidden_layers": 3}
CAPS = {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}  # tight enough to bend


def gemma2(**changes: Any) -> Any:
    return hf.Gemma2ForCausalLM(hf.Gemma2Config(**TEXT | GEMMA2 | CAPS | changes))


def gemma3(**changes: Any) -> Any:
    return hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**TEXT | GEMMA2 | changes))


def phi(**changes: Any) -> Any:
    return hf.PhiForCausalLM(hf.PhiConfig(**TEXT | changes))


def falcon(**changes: Any) -> Any:
    return hf.FalconForCausalLM(hf.FalconConfig(**FALCON | changes))


def opt(**changes: Any) -> Any:
    kept = {k: v for k, v in TEXT.items() if k not in ("intermediate_size", "num_key_value_heads")}
    return hf.OPTForCausalLM(hf.OPTConfig(**kept | {"ffn_dim": 48} | changes))


PARTIAL = {"rope_theta": 10000.0, "rope_type": "default", "partial_rotary_factor": 0.75}
LOCAL_ROPE = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 700.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 90.0},
}
PATTERN = ["sliding_attention", "full_attention", "sliding_attention"]
WINDOWS = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
MODELS: dict[str, Callable[[], Any]] = {
    "llama 1": lambda: llama(num_key_value_heads=4),
    "llama 2": lambda: llama(rms_norm_eps=1e-5, num_key_value_heads=2),
    "llama with biases": lambda: llama(attention_bias=True, mlp_bias=True),
    "llama 3": lambda: rope("llama3"),
    "smollm2": lambda: llama(tie_word_embeddings=True, num_key_value_heads=1),
    "rope linear": lambda: rope("linear"),
    "rope dynamic": lambda: rope("dynamic", max_position_embeddings=24),
    "rope yarn": lambda: rope("yarn"),
    "rope yarn stated": lambda: rope("yarn, everything stated"),
    "rope yarn mscale": lambda: rope("yarn, mscale"),
    "mistral": lambda: mistral(),
    "mistral window": lambda: mistral(sliding_window=6, head_dim=16),
    "qwen2": lambda: qwen2(),
    "qwen2 tied": lambda: qwen2(tie_word_embeddings=True),
    "qwen2 windows": lambda: qwen2(**WINDOWS, num_hidden_layers=3),
    "qwen3": lambda: qwen3(),
    "qwen3 with biases": lambda: qwen3(attention_bias=True),
    "gemma": lambda: gemma(),
    "gemma one key": lambda: gemma(num_key_value_heads=1),
    "gemma 2": lambda: gemma2(),
    "gemma 2 without caps": lambda: gemma2(
        attn_logit_softcapping=None, final_logit_softcapping=None
    ),
    "gemma 2 as published": lambda: gemma2(
        attn_logit_softcapping=50.0, final_logit_softcapping=30.0, num_key_value_heads=4
    ),
    "gemma 3": lambda: gemma3(rope_parameters=LOCAL_ROPE, layer_types=PATTERN),
    "gemma 3 1b": lambda: gemma3(num_hidden_layers=4, num_key_value_heads=1, layer_types=None),
    "phi": lambda: phi(num_key_value_heads=4),
    "phi grouped": lambda: phi(rope_parameters=PARTIAL),
    "falcon 7b": lambda: falcon(),
    "falcon 40b": lambda: falcon(new_decoder_architecture=True, num_kv_heads=2),
    "falcon 11b": lambda: falcon(
        new_decoder_architecture=True,
        num_kv_heads=2,
        num_ln_in_parallel_attn=1,
        ffn_hidden_size=52,
    ),
    "falcon sequential": lambda: falcon(parallel_attn=False, bias=True),
    "opt": lambda: opt(),
    "opt untied, without biases": lambda: opt(tie_word_embeddings=False, enable_bias=False),
    "falcon per head": lambda: falcon(multi_query=False, bias=True),
}


def text(count: int, seed: int) -> Item:
    ids = ref.words(count, seed)
    return Item(tuple(ids), torch.zeros(count).bool(), torch.arange(count)[None])


ITEMS = {"short": text(3, 1), "middle": text(14, 2), "long": text(40, 3)}


def made(name: str, folder: Path) -> tuple[Any, Declared]:
    theirs = ref.randomise(MODELS[name]())
    return theirs, read_spec(ref.saved(theirs, folder))


@pytest.mark.parametrize("dialect", ["4.x", "5.x"])
@pytest.mark.parametrize("name", MODELS)
def test_same_logits(name: str, dialect: str, tmp_path: Path) -> None:
    theirs = ref.saved(model := ref.randomise(MODELS[name]()), tmp_path)
    if dialect == "4.x":
        ref.to_hub_dialect(theirs)
    assert ref.difference(load_decoder(read_spec(theirs)), model, ITEMS) <= TOLERANCE


@pytest.mark.parametrize("name", [name for name in MODELS if name != "rope dynamic"])
def test_same_greedy_answers_from_a_cache(name: str, tmp_path: Path) -> None:
    """Dynamic NTK turns keys by the length they were cached at: there caching changes answers."""
    theirs, declared = made(name, tmp_path)
    ref.assert_same_greedy(load_decoder(declared), theirs, ITEMS)


def test_same_logits_of_a_batch(tmp_path: Path) -> None:
    theirs, declared = made("mistral window", tmp_path)
    ids_BT = torch.tensor([ref.words(12, 1), ref.words(12, 2), ref.words(12, 3)])
    with torch.no_grad():
        gap = ref.decoder_logits(load_decoder(declared), ids_BT) - theirs(ids_BT).logits
    assert float(gap.abs().max()) <= TOLERANCE


# Two families of the hub that transformers reads only with the checkpoint's own code.


def test_yi(tmp_path: Path) -> None:
    """Yi's first release is Llama with other names for the norms."""
    theirs, _ = made("llama 2", tmp_path)
    names = {"input_layernorm": "ln1", "post_attention_layernorm": "ln2"}

    def rename(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        for old, new in names.items():
            tensors = {name.replace(old, new): t for name, t in tensors.items()}
        return tensors

    ref.edit_tensors(tmp_path, rename)
    code = {"AutoModelForCausalLM": "modeling_yi.YiForCausalLM"}
    ref.edit_config(tmp_path, {"model_type": "Yi", "auto_map": code})
    declared = read_spec(tmp_path)
    assert declared.family == "yi" and any("not run" in note for note in declared.notes)
    assert ref.difference(load_decoder(declared), theirs, ITEMS) <= TOLERANCE
    ref.assert_same_greedy(load_decoder(declared), theirs, ITEMS)


def test_qwen1(tmp_path: Path) -> None:
    """Qwen1 is Qwen2 without groups, q, k and v in one tensor, names of GPT-2, w2 the gate."""
    theirs = ref.randomise(qwen2(num_key_value_heads=4))
    theirs.save_pretrained(tmp_path)
    ref.edit_tensors(tmp_path, as_qwen1)
    (tmp_path / "config.json").write_text(QWEN1_CONFIG)
    declared = read_spec(tmp_path)
    assert declared.language is not None and declared.language.context == 64
    assert ref.difference(load_decoder(declared), theirs, ITEMS) <= TOLERANCE
    ref.assert_same_greedy(load_decoder(declared), theirs, {"middle": ITEMS["middle"]})


QWEN1_CONFIG = """{
  "architectures": ["QWenLMHeadModel"], "model_type": "qwen", "vocab_size": 300,
  "auto_map": {"AutoConfig": "configuration_qwen.QWenConfig"},
  "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "kv_channels": 8,
  "intermediate_size": 96, "layer_norm_epsilon": 1e-06, "seq_length": 64, "no_bias": true,
  "rotary_pct": 1.0, "rotary_emb_base": 10000, "scale_attn_weights": true,
  "attn_dropout_prob": 0.0, "emb_dropout_prob": 0.0, "use_dynamic_ntk": true,
  "use_logn_attn": true, "bf16": false, "fp16": false, "fp32": true, "onnx_safe": null,
  "initializer_range": 0.02, "max_position_embeddings": 64, "use_cache": true,
  "use_flash_attn": "auto", "tie_word_embeddings": false, "tokenizer_class": "QWenTokenizer",
  "transformers_version": "4.32.0"
}"""


def as_qwen1(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    made = {
        "transformer.wte.weight": tensors["model.embed_tokens.weight"],
        "transformer.ln_f.weight": tensors["model.norm.weight"],
        "lm_head.weight": tensors["lm_head.weight"],
        "transformer.rotary_emb.inv_freq": torch.ones(4),
    }
    for i in range(2):
        ours, theirs = f"model.layers.{i}.", f"transformer.h.{i}."
        for kind in ("weight", "bias"):
            parts = [tensors[f"{ours}self_attn.{n}_proj.{kind}"] for n in "qkv"]
            made[f"{theirs}attn.c_attn.{kind}"] = torch.cat(parts)
        made[f"{theirs}attn.c_proj.weight"] = tensors[f"{ours}self_attn.o_proj.weight"]
        made[f"{theirs}ln_1.weight"] = tensors[f"{ours}input_layernorm.weight"]
        made[f"{theirs}ln_2.weight"] = tensors[f"{ours}post_attention_layernorm.weight"]
        made[f"{theirs}mlp.w2.weight"] = tensors[f"{ours}mlp.gate_proj.weight"]
        made[f"{theirs}mlp.w1.weight"] = tensors[f"{ours}mlp.up_proj.weight"]
        made[f"{theirs}mlp.c_proj.weight"] = tensors[f"{ours}mlp.down_proj.weight"]
    return made


# Ties between embedding and output matrix: what is stored wins over what config.json says.


def test_absent_head_is_tied(tmp_path: Path) -> None:
    theirs, _ = made("smollm2", tmp_path)
    ref.edit_config(tmp_path, {"tie_word_embeddings": False})
    declared = read_spec(tmp_path)
    assert declared.language is not None and declared.language.tied_head
    assert any("lm_head" in note for note in declared.notes)
    assert ref.difference(load_decoder(declared), theirs, ITEMS) <= TOLERANCE


def test_stored_head_wins_over_the_flag(tmp_path: Path) -> None:
    theirs, _ = made("llama 2", tmp_path)
    ref.edit_config(tmp_path, {"tie_word_embeddings": True})
    declared = read_spec(tmp_path)
    assert declared.language is not None and not declared.language.tied_head
    assert ref.difference(load_decoder(declared), theirs, ITEMS) <= TOLERANCE


def test_stored_copy_of_the_embedding_is_not_kept(tmp_path: Path) -> None:
    theirs, _ = made("smollm2", tmp_path)
    copy = {"lm_head.weight": theirs.get_input_embeddings().weight.detach()}
    ref.edit_tensors(tmp_path, lambda tensors: tensors | copy)
    declared = read_spec(tmp_path)
    assert declared.language is not None and declared.language.tied_head
    assert ref.difference(load_decoder(declared), theirs, ITEMS) <= TOLERANCE


@pytest.mark.parametrize("depth", [1, 6, 13])
def test_gemmas_pattern_of_windows_where_the_folder_names_none(depth: int) -> None:
    """4.x writes no layer types: Gemma 2 has a window in every other layer, Gemma 3 in five."""
    for config in (
        hf.Gemma2Config(num_hidden_layers=depth),
        hf.Gemma3TextConfig(num_hidden_layers=depth),
        hf.Gemma3TextConfig(num_hidden_layers=depth, sliding_window_pattern=4),
    ):
        kinds = config.layer_types
        wanted = tuple(i for i, kind in enumerate(kinds) if kind == "sliding_attention")
        stated = config.to_dict() | {"layer_types": None}
        if pattern := stated.pop("_sliding_window_pattern", None):
            stated["sliding_window_pattern"] = pattern
        spec = read_spec(stated).language
        assert spec is not None and spec.attention.windowed_layers == wanted


# Each mistake must be seen by the comparison above, by a margin.


def changed(declared: Declared, **values: Any) -> Declared:
    spec = declared.language
    assert spec is not None
    nested = {
        k: getattr(spec, k).model_copy(update=v) for k, v in values.items() if isinstance(v, dict)
    }
    return replace(declared, language=spec.model_copy(update={**values, **nested}))


def rolled(name: str, by: int) -> Callable[[Decoder], None]:
    def roll(model: Decoder) -> None:
        data = model.get_parameter(name).data
        data.copy_(data.roll(by, 0))

    return roll


def swapped(one: str, other: str) -> Callable[[Decoder], None]:
    def swap(model: Decoder) -> None:
        a, b = (model.get_parameter(f"blocks.1.{name}.weight").data for name in (one, other))
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)

    return swap


SPEC_MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "theta": ("llama 2", {"positions": {"theta": 9_000.0}}),
    "no scaling": ("llama 3", {"positions": {"scaling": None}}),
    "no linear scaling": ("rope linear", {"positions": {"scaling": None}}),
    "no dynamic scaling": ("rope dynamic", {"positions": {"scaling": None}}),
    "no yarn": ("rope yarn", {"positions": {"scaling": None}}),
    "window": ("mistral window", {"attention": {"window": 7}}),
    "windows everywhere": ("qwen2 windows", {"attention": {"windowed_layers": None}}),
    "windows one layer off": ("qwen2 windows", {"attention": {"windowed_layers": (0, 1)}}),
    "no embedding scale": ("gemma", {"embedding_scale": None}),
    "no unit offset": ("gemma", {"norm": {"unit_offset": False}}),
    "gemma's gelu": ("gemma", {"mlp": {"activation": "gelu"}}),
    "no soft cap": ("gemma 2", {"attention": {"soft_cap": None}}),
    "no soft cap of logits": ("gemma 2", {"logit_soft_cap": None}),
    "windows the other way round": ("gemma 2", {"attention": {"windowed_layers": (1,)}}),
    "no scalar": ("gemma 2", {"attention": {"scale": None}}),
    "one rotation for all layers": ("gemma 3", {"windowed_positions": None}),
    "rotations exchanged": ("gemma 3", {"positions": {"theta": 90.0, "scaling": None}}),
    "the local rotation scaled, too": (
        "gemma 3",
        {"windowed_positions": {"scaling": LinearScaling(factor=8.0)}},
    ),
    "fraction": ("phi", {"positions": {"fraction": 1.0}}),
    "phi's gelu": ("phi", {"mlp": {"activation": "gelu"}}),
    "falcon's gelu": ("falcon 7b", {"mlp": {"activation": "gelu_tanh"}}),
    "sequential": ("falcon 40b", {"block": "sequential"}),
    "parallel": ("falcon sequential", {"block": "parallel_two_norms"}),
    "scale": ("qwen3", {"attention": {"scale": 0.2}}),
    "eps": ("llama 2", {"norm": {"eps": 1e-2}}),
}
MODEL_MISTAKES: dict[str, tuple[str, Callable[[Decoder], None]]] = {
    "key heads of the wrong group": ("falcon 40b", rolled("blocks.0.attn.k.weight", 8)),
    "query heads of the wrong group": ("falcon 40b", rolled("blocks.0.attn.q.weight", 16)),
    "value heads of the wrong group": ("falcon per head", rolled("blocks.0.attn.v.weight", 8)),
    "fused rows off by one": ("falcon 7b", rolled("blocks.0.attn.v.weight", 1)),
    "biases off by one": ("phi", rolled("blocks.0.attn.out.bias", 1)),
    "head bias off by one": ("phi", rolled("head.bias", 1)),
    "norms of attention exchanged": ("gemma 2", swapped("norm1", "post_norm1")),
    "norms of the MLP exchanged": ("gemma 3", swapped("norm2", "post_norm2")),
    "gemma's query norm off by one": ("gemma 3", rolled("blocks.0.attn.q_norm.weight", 1)),
    "norms off by one": ("falcon 11b", rolled("blocks.0.norm1.bias", 1)),
    "places off by one": ("opt", rolled("positions.weight", 1)),
    "query norm off by one": ("qwen3", rolled("blocks.0.attn.q_norm.weight", 1)),
}


@pytest.mark.parametrize("mistake", SPEC_MISTAKES)
def test_a_wrong_spec_is_seen(mistake: str, tmp_path: Path) -> None:
    name, change = SPEC_MISTAKES[mistake]
    theirs, declared = made(name, tmp_path)
    assert ref.difference(load_decoder(changed(declared, **change)), theirs, ITEMS) > SEEN


@pytest.mark.parametrize("mistake", MODEL_MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    name, break_it = MODEL_MISTAKES[mistake]
    theirs, declared = made(name, tmp_path)
    ours = load_decoder(declared)
    break_it(ours)
    assert ref.difference(ours, theirs, ITEMS) > SEEN
