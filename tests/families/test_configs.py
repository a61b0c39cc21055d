"""config.json: defaults as the reference has them, unknown keys refused, bad values named."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import transformers as hf

from sightline.core.errors import FamilyError, FolderError
from sightline.families import catalogue, read_spec
from sightline.families.config import Config
from sightline.families.tables import TEXTS, TOWERS

TEXT = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
LLAMA = {"model_type": "llama", **TEXT}
CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
LLAVA = {
    "model_type": "llava",
    "image_token_index": 99,
    "text_config": LLAMA,
    "vision_config": CLIP,
}
ORIGINAL = {
    **LLAMA,
    "model_type": "llava_llama",
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "mm_vision_select_layer": -2,
    "mm_hidden_size": 1024,
}
NOT_IN_HF = ("yi", "qwen", "internlm2", "internvit")
KNOWN_TO_HF = [t for t in (*TEXTS, *TOWERS) if t.name not in NOT_IN_HF]


@pytest.mark.parametrize("family", KNOWN_TO_HF, ids=lambda f: f.name)
def test_defaults_are_the_reference_class_defaults(family):
    """Nested configs on the hub omit what equals the class default."""
    theirs = type(hf.AutoConfig.for_model(family.model_types[0]))
    stated = {field.name: field.default for field in fields(theirs)}
    assert {key: stated[key] for key in family.defaults if key in stated} == {
        key: value for key, value in family.defaults.items() if key in stated
    }
    beside = set(family.defaults) - set(stated)
    assert beside <= {"num_channels"}, "EVA's class leaves out what its module takes from the base"


@pytest.mark.parametrize("family", KNOWN_TO_HF, ids=lambda f: f.name)
def test_a_config_of_defaults_reads_as_the_reference_writes_it(family):
    """What is left out and what is written out mean the same."""
    name = family.model_types[0]
    short = read_spec({"model_type": name})
    full = read_spec(hf.AutoConfig.for_model(name).to_dict())
    assert (short.vision, short.language) == (full.vision, full.language)
    assert short.vision is not None or short.language is not None


def test_llava_defaults():
    """The class's own placeholder, 32000, lies outside of its own vocabulary of 32000."""
    text = {"vocab_size": 32064}
    full = hf.LlavaConfig(text_config=hf.LlamaConfig(**text)).to_dict()
    assert read_spec({"model_type": "llava", "text_config": text}).model == read_spec(full).model


# Unknown keys.


@pytest.mark.parametrize("base", [LLAMA, CLIP], ids=["text", "tower"])
def test_unknown_keys_are_refused(base):
    with pytest.raises(FamilyError) as caught:
        read_spec(base | {"logit_soft_cap": 30.0})
    assert caught.value.field == "logit_soft_cap"
    assert "30.0" in caught.value.problem


@pytest.mark.parametrize("level", ["", "text_config", "vision_config"])
def test_unknown_keys_are_refused_at_every_level(level):
    data = json.loads(json.dumps(LLAVA))
    (data[level] if level else data)["strange"] = 1
    with pytest.raises(FamilyError) as caught:
        read_spec(data)
    assert caught.value.field == (f"{level}.strange" if level else "strange")


def test_a_typo_names_the_key_that_is_near():
    with pytest.raises(FamilyError, match="rms_norm_eps"):
        read_spec(LLAMA | {"rms_norm_ep": 1e-5})


def test_harmless_keys_are_listed():
    ignored = read_spec(LLAMA | {"use_cache": True, "temperature": 0.9}).ignored
    assert ignored == ("temperature", "use_cache")


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (LLAMA, {"is_encoder_decoder": True}),
        (LLAMA, {"pruned_heads": {"0": [1]}}),
        (LLAMA, {"add_cross_attention": True}),
        (LLAMA | {"model_type": "phi"}, {"qk_layernorm": True}),
        ({"model_type": "gemma"}, {"use_bidirectional_attention": True}),
        ({"model_type": "falcon"}, {"alibi": True}),
        (CLIP, {"num_channels": 1}),
    ],
)
def test_known_keys_with_values_that_change_the_numbers(base, change):
    assert read_spec(base)
    with pytest.raises(FamilyError) as caught:
        read_spec(base | change)
    assert caught.value.field in change


# Values that are wrong.

BAD: dict[str, tuple[dict, str]] = {
    "text for a number": (LLAMA | {"hidden_size": "32"}, "hidden_size"),
    "a flag for a number": (LLAMA | {"num_hidden_layers": True}, "num_hidden_layers"),
    "heads that do not divide": (LLAMA | {"num_key_value_heads": 3}, "kv_heads"),
    "zero": (LLAMA | {"num_hidden_layers": 0}, "depth"),
    "activation": (LLAMA | {"hidden_act": "mish"}, "hidden_act"),
    "rope type": (LLAMA | {"rope_scaling": {"type": "longrope", "factor": 2}}, "rope_type"),
    "rope key": (LLAMA | {"rope_scaling": {"type": "linear", "factor": 2, "x": 1}}, "x"),
    "rope without factor": (LLAMA | {"rope_scaling": {"type": "linear"}}, "factor"),
    "yarn without rounding": (
        LLAMA | {"rope_parameters": {"rope_type": "yarn", "factor": 2, "truncate": False}},
        "truncate",
    ),
    "partial rotation": (LLAMA | {"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    "layer types": (
        LLAMA | {"model_type": "qwen2", "layer_types": ["full_attention"]},
        "layer_types",
    ),
    "tower heads": (CLIP | {"num_attention_heads": 5}, "heads"),
    "tower not square": (CLIP | {"image_size": [28, 42]}, "image_size"),
    "tower of LLaVA": (LLAVA | {"vision_config": {"model_type": "pixtral"}}, "model_type"),
    "text of LLaVA": (LLAVA | {"text_config": {"model_type": "opt"}}, "model_type"),
    "text that LLaVA never held": (
        LLAVA | {"text_config": {**TEXT, "model_type": "phi"}},
        "model_type",
    ),
    "strategy": (LLAVA | {"vision_feature_select_strategy": "mean"}, "strategy"),
    "layers joined": (LLAVA | {"vision_feature_layer": [-2, -3]}, "vision_feature_layer"),
    "layer": (LLAVA | {"vision_feature_layer": -9}, "vision_feature_layer"),
    "placeholder": (LLAVA | {"image_token_index": 100}, "image_token_index"),
    "first patch cut": (
        LLAVA | {"vision_config": CLIP | {"model_type": "siglip_vision_model"}},
        "strategy",
    ),
    "registers as patches": (
        LLAVA | {"vision_config": {"model_type": "dinov2_with_registers"}},
        "strategy",
    ),
    "original tower": (ORIGINAL | {"mm_vision_tower": "nobody/vit"}, "mm_vision_tower"),
    "original width": (ORIGINAL | {"mm_hidden_size": 768}, "mm_hidden_size"),
    "original projector": (ORIGINAL | {"mm_projector_type": "cabstract"}, "mm_projector_type"),
    "original ratio": (ORIGINAL | {"image_aspect_ratio": "anyres_max_9"}, "image_aspect_ratio"),
    "original anyres": (ORIGINAL | {"image_aspect_ratio": "anyres"}, "image_grid_pinpoints"),
    "original merge": (ORIGINAL | {
        "image_aspect_ratio": "anyres", "image_grid_pinpoints": [[336, 672]],
        "mm_patch_merge_type": "spatial",
    }, "mm_patch_merge_type"),
    "original rows": (ORIGINAL | {"mm_vision_select_feature": "cls"}, "select_feature"),
    "original resampler": (ORIGINAL | {"mm_resampler_type": "qformer"}, "mm_resampler_type"),
    "original tags": (ORIGINAL | {"mm_use_im_start_end": True}, "mm_use_im_start_end"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_wrong_values_are_named(case):
    data, field = BAD[case]
    with pytest.raises(FamilyError) as caught:
        read_spec(data)
    assert field in caught.value.field, str(caught.value)
    assert caught.value.problem and caught.value.fix


# Architectures that are not built.


def test_unknown_architecture_lists_what_is_near():
    with pytest.raises(FamilyError, match=r"'qwen9_vl' is not supported.*qwen2"):
        read_spec({"model_type": "qwen9_vl"})


def test_unknown_architecture_like_nothing():
    with pytest.raises(FamilyError, match=r"known: .*llava.*clip.*falcon"):
        read_spec({"model_type": "zzz"})


def test_no_architecture():
    with pytest.raises(FolderError, match="model_type"):
        read_spec({"hidden_size": 3})


def test_code_of_the_checkpoint_is_never_run(tmp_path: Path):
    model = hf.LlamaForCausalLM(hf.LlamaConfig(**TEXT))
    model.save_pretrained(tmp_path)
    config = LLAMA | {"model_type": "sparkle", "auto_map": {"AutoModel": "evil.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(FamilyError, match=r"never run.*family llama.*set model_type to llama"):
        read_spec(tmp_path)


def test_a_known_architecture_says_that_code_is_not_run():
    declared = read_spec(LLAMA | {"auto_map": {"AutoModel": "modeling_llama.Llama"}})
    assert any("not run" in note for note in declared.notes)


@pytest.mark.parametrize(
    "quantised",
    [
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"compression_config": {"format": "pack-quantized"}},
        {"text_config": {"quantization_config": {"quant_method": "awq"}}},
    ],
)
def test_quantised_checkpoints_are_refused_by_name(quantised):
    with pytest.raises(FamilyError, match=r"quantised \((gptq|bitsandbytes|awq|pack-quantized)\)"):
        read_spec(LLAVA | quantised)


def test_tower_argument_without_use():
    with pytest.raises(FamilyError, match="tower"):
        read_spec(LLAMA, tower="somewhere")


# Folders.


def test_not_a_folder(tmp_path: Path):
    with pytest.raises(FolderError, match="is not a folder"):
        read_spec(tmp_path / "none")


def test_no_config_says_what_was_found(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FolderError, match=r"no config\.json \(found: notes\.txt\)"):
        read_spec(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_broken_config(tmp_path: Path, text: str):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FolderError, match=r"config\.json"):
        read_spec(tmp_path)


def test_names_of_another_family(tmp_path: Path):
    """A folder whose config and weights do not belong together."""
    hf.FalconForCausalLM(
        hf.FalconConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=4)
    ).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    with pytest.raises(FamilyError, match=r"embed_tokens\.weight.*not those of family llama"):
        read_spec(tmp_path)


# The reader itself.


def test_reader_takes_null_as_left_out():
    config = Config({"a": None, "b": 2}, defaults={"a": 1, "b": 1})
    assert config.take("a", int, 7) == 7 and config.maybe("a", int) is None
    assert config.take("b", float) == 2.0


def test_reader_refuses_what_nothing_asked_for():
    config = Config({"asked": 1, "other": 2}, where="deep")
    config.take("asked", int)
    with pytest.raises(FamilyError) as caught:
        config.finish("test")
    assert caught.value.field == "deep.other"


# The catalogue.


def test_catalogue_names_every_family_and_its_proof():
    facts = catalogue()
    assert len({fact.name for fact in facts}) == len(facts)
    assert {f.name for f in (*TEXTS, *TOWERS)} <= {fact.name for fact in facts}
    root = Path(__file__).resolve().parents[2]
    for fact in facts:
        assert (root / fact.proof.partition(":")[0]).is_file(), fact.proof
        assert fact.covers


WIDER = {"text_config": {"model_type": "llama", "vocab_size": 32064}}
INTERNVL = {"ps_version": "v2", "llm_config": {"model_type": "qwen2"}}
GEMMA3_TOWER = {"model_type": "siglip_vision_model", "image_size": 896, "patch_size": 14}
SMALLEST = {"gemma3": {"vision_config": GEMMA3_TOWER}, "idefics": {"use_resampler": True},
    **{key: {"text_config": {"vocab_size": 128258}} for key in ("idefics3", "smolvlm")},
    "internvl_chat": INTERNVL, "llava": LLAVA,
    "llava_llama": ORIGINAL, "llava_mistral": ORIGINAL | {
    "num_key_value_heads": 4}, "llava_next": WIDER, "llava_next_video": WIDER,
    "shikra": ORIGINAL | {"vocab_size": 32003}}  # fmt: skip


@pytest.mark.parametrize("model_type", sorted({t for f in catalogue() for t in f.model_types}))
def test_catalogue_types_are_readable(model_type):
    assert read_spec({**SMALLEST.get(model_type, {}), "model_type": model_type})
