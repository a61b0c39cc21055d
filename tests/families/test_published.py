"""config.json files of the hub, key for key: each is read without complaint and measures the same.

Written down from the published repositories (recalled in part); the reference counts its own
parameters from the same config.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from sightline.families import read_spec
from sightline.model.build import build_decoder, build_model, build_vision

COMMON_4X = {
    "add_cross_attention": False,
    "architectures": None,
    "bad_words_ids": None,
    "chunk_size_feed_forward": 0,
    "cross_attention_hidden_size": None,
    "do_sample": False,
    "early_stopping": False,
    "finetuning_task": None,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "is_decoder": False,
    "is_encoder_decoder": False,
    "length_penalty": 1.0,
    "num_beams": 1,
    "output_attentions": False,
    "prefix": None,
    "pruned_heads": {},
    "return_dict": True,
    "tie_encoder_decoder": False,
    "tie_word_embeddings": True,
    "top_k": 50,
    "torch_dtype": None,
    "use_bfloat16": False,
}
LLAMA_4X = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "pretraining_tp": 1,
    "tie_word_embeddings": False,
    "use_cache": True,
}
SO400M = {
    "hidden_size": 1152,
    "image_size": 384,
    "intermediate_size": 4304,
    "model_type": "siglip_vision_model",
    "num_attention_heads": 16,
    "num_hidden_layers": 27,
    "patch_size": 14,
}
CLIP_L = {
    "attention_dropout": 0.0,
    "dropout": 0.0,
    "hidden_act": "quick_gelu",
    "hidden_size": 1024,
    "image_size": 336,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "intermediate_size": 4096,
    "layer_norm_eps": 1e-05,
    "model_type": "clip_vision_model",
    "num_attention_heads": 16,
    "num_channels": 3,
    "num_hidden_layers": 24,
    "patch_size": 14,
    "projection_dim": 768,
}
FALCON = {
    "alibi": False,
    "apply_residual_connection_post_layernorm": False,
    "architectures": ["FalconForCausalLM"],
    "attention_dropout": 0.0,
    "auto_map": {"AutoConfig": "configuration_falcon.FalconConfig"},
    "bias": False,
    "bos_token_id": 11,
    "eos_token_id": 11,
    "hidden_dropout": 0.0,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "falcon",
    "multi_query": True,
    "parallel_attn": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.27.4",
    "use_cache": True,
    "vocab_size": 65024,
}
DINOV2 = {
    "apply_layernorm": True,
    "attention_probs_dropout_prob": 0.0,
    "drop_path_rate": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "image_size": 518,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-06,
    "layerscale_value": 1.0,
    "mlp_ratio": 4,
    "model_type": "dinov2",
    "num_channels": 3,
    "patch_size": 14,
    "qkv_bias": True,
    "reshape_hidden_states": True,
    "torch_dtype": "float32",
    "transformers_version": "4.32.0.dev0",
}
TEXTS: dict[str, dict[str, Any]] = {
    "lmsys/vicuna-7b-v1.5": LLAMA_4X | {
        "_name_or_path": "vicuna-7b-v1.5", "bos_token_id": 1, "eos_token_id": 2,
        "intermediate_size": 11008, "max_position_embeddings": 4096, "num_key_value_heads": 32,
        "pad_token_id": 0, "rms_norm_eps": 1e-05, "rope_scaling": None, "torch_dtype": "float16",
        "transformers_version": "4.31.0", "vocab_size": 32000,
    },
    "meta-llama/Llama-3.1-8B-Instruct": LLAMA_4X | {
        "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 128000,
        "eos_token_id": [128001, 128008, 128009], "intermediate_size": 14336,
        "max_position_embeddings": 131072, "mlp_bias": False, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
        "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "transformers_version": "4.42.3", "vocab_size": 128256,
    },
    "01-ai/Yi-6B": LLAMA_4X | {
        "bos_token_id": 1, "eos_token_id": 2, "intermediate_size": 11008,
        "max_position_embeddings": 4096, "num_key_value_heads": 4, "pad_token_id": 0,
        "rms_norm_eps": 1e-05, "rope_theta": 5000000.0, "torch_dtype": "bfloat16",
        "transformers_version": "4.34.0", "vocab_size": 64000,
    },
    "HuggingFaceTB/SmolLM2-135M": LLAMA_4X | {
        "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 0,
        "hidden_size": 576, "intermediate_size": 1536, "is_llama_config": True,
        "initializer_range": 0.041666666666666664, "max_position_embeddings": 8192,
        "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
        "rms_norm_eps": 1e-05, "rope_interleaved": False, "rope_scaling": None,
        "rope_theta": 100000, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "transformers_version": "4.40.1", "vocab_size": 49152,
    },
    "mistralai/Mistral-7B-v0.1": LLAMA_4X | {
        "model_type": "mistral", "architectures": ["MistralForCausalLM"], "bos_token_id": 1,
        "eos_token_id": 2, "intermediate_size": 14336, "max_position_embeddings": 32768,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "sliding_window": 4096, "torch_dtype": "bfloat16", "vocab_size": 32000,
    },
    "Qwen/Qwen2.5-0.5B": {
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 896,
        "initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 32768,
        "max_window_layers": 24, "model_type": "qwen2", "num_attention_heads": 14,
        "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "transformers_version": "4.40.1", "use_cache": True,
        "use_mrope": False, "use_sliding_window": False, "vocab_size": 151936,
    },
    "Qwen/Qwen3-0.6B": {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu",
        "hidden_size": 1024, "initializer_range": 0.02, "intermediate_size": 3072,
        "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
        "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000,
        "sliding_window": None, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "transformers_version": "4.51.0", "use_cache": True, "use_sliding_window": False,
        "vocab_size": 151936,
    },
    "google/gemma-2b": {
        "architectures": ["GemmaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 2, "eos_token_id": 1, "head_dim": 256, "hidden_act": "gelu",
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2048, "initializer_range": 0.02,
        "intermediate_size": 16384, "max_position_embeddings": 8192, "model_type": "gemma",
        "num_attention_heads": 8, "num_hidden_layers": 18, "num_key_value_heads": 1,
        "pad_token_id": 0, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 10000.0,
        "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 256000,
    },
    "microsoft/phi-2": {
        "_name_or_path": "microsoft/phi-2", "architectures": ["PhiForCausalLM"],
        "attention_dropout": 0.0, "bos_token_id": 50256, "embd_pdrop": 0.0, "eos_token_id": 50256,
        "hidden_act": "gelu_new", "hidden_size": 2560, "initializer_range": 0.02,
        "intermediate_size": 10240, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048,
        "model_type": "phi", "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "partial_rotary_factor": 0.4, "qk_layernorm": False,
        "resid_pdrop": 0.1, "rope_scaling": None, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "torch_dtype": "float16", "use_cache": True,
        "vocab_size": 51200,
    },
    "tiiuae/falcon-7b": FALCON | {
        "hidden_size": 4544, "new_decoder_architecture": False, "num_attention_heads": 71,
        "num_hidden_layers": 32,
    },
    "tiiuae/falcon-40b": FALCON | {
        "hidden_size": 8192, "new_decoder_architecture": True, "num_attention_heads": 128,
        "num_hidden_layers": 60, "num_kv_heads": 8,
    },
}  # fmt: skip
TOWERS: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14-336": {
        "_commit_hash": None, "architectures": ["CLIPModel"], "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592, "model_type": "clip", "projection_dim": 768,
        "text_config": COMMON_4X | {"model_type": "clip_text_model", "hidden_size": 768},
        "text_config_dict": {"hidden_size": 768, "intermediate_size": 3072,
                             "num_attention_heads": 12, "num_hidden_layers": 12},
        "vision_config": COMMON_4X | CLIP_L,
        "vision_config_dict": {"hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
                               "num_attention_heads": 16, "num_hidden_layers": 24,
                               "patch_size": 14, "projection_dim": 768},
        "torch_dtype": "float32", "transformers_version": None,
    },
    "google/siglip-so400m-patch14-384": {
        "architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip",
        "text_config": {"hidden_size": 1152, "intermediate_size": 4304,
                        "model_type": "siglip_text_model", "num_attention_heads": 16,
                        "num_hidden_layers": 27},
        "torch_dtype": "float32", "transformers_version": "4.37.0.dev0", "vision_config": SO400M,
    },
    "facebook/dinov2-base": DINOV2 | {
        "hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12,
        "use_swiglu_ffn": False, "out_features": ["stage12"], "out_indices": [12],
        "stage_names": ["stem", *(f"stage{i}" for i in range(1, 13))],
    },
    "facebook/dinov2-giant": DINOV2 | {
        "hidden_size": 1536, "num_attention_heads": 24, "num_hidden_layers": 40,
        "use_swiglu_ffn": True,
    },
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "llava-hf/llava-1.5-7b-hf": {
        "architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100,
        "image_seq_length": 576, "image_token_index": 32000, "model_type": "llava",
        "pad_token_id": 32001, "projector_hidden_act": "gelu",
        "text_config": {
            "_name_or_path": "lmsys/vicuna-7b-v1.5", "architectures": ["LlamaForCausalLM"],
            "max_position_embeddings": 4096, "model_type": "llama", "rms_norm_eps": 1e-05,
            "torch_dtype": "float16", "vocab_size": 32064,
        },
        "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.36.0.dev0", "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vision_config": {
            "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
            "model_type": "clip_vision_model", "num_attention_heads": 16,
            "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
            "vocab_size": 32000,
        },
        "vocab_size": 32064,
    },
    "llava-hf/llava-interleave-qwen-0.5b-hf": {
        "architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100,
        "image_token_index": 151646, "model_type": "llava", "projector_hidden_act": "gelu",
        "text_config": {
            "_name_or_path": "Qwen/Qwen1.5-0.5B-Chat", "architectures": ["Qwen2ForCausalLM"],
            "bos_token_id": 151643, "eos_token_id": 151645, "hidden_size": 1024,
            "intermediate_size": 2816, "max_window_layers": 21, "model_type": "qwen2",
            "num_attention_heads": 16, "num_hidden_layers": 24, "num_key_value_heads": 16,
            "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": True,
            "torch_dtype": "bfloat16", "vocab_size": 152000,
        },
        "torch_dtype": "bfloat16", "vision_config": SO400M | {
            "num_hidden_layers": 26, "vision_use_head": False,
        },
        "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
    },
}  # fmt: skip


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def reference(kind: Any, config: dict[str, Any]) -> nn.Module:
    with torch.device("meta"):
        return kind.from_config(hf.AutoConfig.for_model(**config))


@pytest.mark.parametrize("name", TEXTS)
def test_text_models(name: str) -> None:
    spec = read_spec(TEXTS[name]).language
    assert spec is not None
    with torch.device("meta"):
        ours = count(build_decoder(spec))
    assert ours == count(reference(hf.AutoModelForCausalLM, TEXTS[name]))


@pytest.mark.parametrize("name", TOWERS)
def test_towers(name: str) -> None:
    """The pooling head of SigLIP and the mask token of DINOv2 are not part of the features."""
    spec = read_spec(TOWERS[name]).vision
    assert spec is not None
    theirs = reference(hf.AutoModel, TOWERS[name])
    theirs = getattr(theirs, "vision_model", theirs)
    unused = {"head", "embeddings.mask_token"}
    wanted = sum(
        p.numel()
        for key, p in theirs.named_parameters()
        if key not in unused and key.partition(".")[0] not in unused
    )
    with torch.device("meta"):
        assert count(build_vision(spec)) == wanted


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    spec = read_spec(MODELS[name]).model
    theirs = reference(hf.AutoModelForImageTextToText, MODELS[name])
    assert count(build_model(spec, device="meta")) == count(theirs)


def test_stated_facts() -> None:
    llama = read_spec(TEXTS["meta-llama/Llama-3.1-8B-Instruct"])
    assert llama.text_prompt is not None and llama.language is not None
    assert llama.text_prompt.stop_ids == (128001, 128008, 128009)
    assert llama.language.kv_bytes(1) == 131_072
    interleave = read_spec(MODELS["llava-hf/llava-interleave-qwen-0.5b-hf"]).model
    assert interleave.vision.tokens(interleave.vision.grid(384, 384)) == 729
    assert interleave.prompt.stop_ids == (151645,)
