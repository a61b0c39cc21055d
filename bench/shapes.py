"""Published models by the sizes in their config.json, for folders of the real shape."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Config = dict[str, Any]


def text(
    width: int, inner: int, depth: int, heads: int, kv: int, vocab: int, **more: Any
) -> Config:
    """The sizes of a text model."""
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocab,
        **more,
    }


def vision(width: int, inner: int, depth: int, heads: int, image: int, patch: int) -> Config:
    """The sizes of a CLIP or SigLIP tower."""
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "image_size": image,
        "patch_size": patch,
    }


CLIP_L = {"model_type": "clip_vision_model", **vision(1024, 4096, 24, 16, 336, 14)}
SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False}
SO400M = vision(1152, 4304, 27, 16, 384, 14)
VICUNA = text(4096, 11008, 32, 32, 32, 32064, model_type="llama", max_position_embeddings=4096)
MROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
LLAMA3 = text(4096, 14336, 32, 32, 8, 128_256, max_position_embeddings=131_072)
QWEN_7B = text(3584, 18944, 28, 28, 4, 152_064)
IMAGE_LAST = {"image_token_id": 9, "video_token_id": 8}

SHAPES: Mapping[str, Config] = MappingProxyType(
    {
        "llava-1.5-7b": {
            "model_type": "llava",
            "vision_config": CLIP_L,
            "text_config": VICUNA,
            "image_token_index": 32000,
        },
        "llava-1.6-vicuna-7b": {
            "model_type": "llava_next",
            "vision_config": CLIP_L,
            "text_config": VICUNA,
            "image_token_index": 32000,
            "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
        },
        "llava-onevision-7b": {
            "model_type": "llava_onevision",
            "vision_config": {**SIGLIP, **SO400M, "num_hidden_layers": 26},
            "text_config": {**QWEN_7B, "model_type": "qwen2"},
            "image_token_index": 151_646,
            "video_token_index": 151_647,
        },
        "qwen2-vl-7b": {
            "model_type": "qwen2_vl",
            "text_config": {**QWEN_7B, "rope_parameters": MROPE},
            "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 3584},
            **IMAGE_LAST,
        },
        "qwen2.5-vl-7b": {
            "model_type": "qwen2_5_vl",
            "text_config": {**QWEN_7B, "rope_parameters": MROPE},
            "vision_config": {
                "depth": 32,
                "hidden_size": 1280,
                "intermediate_size": 3420,
                "out_hidden_size": 3584,
                "fullatt_block_indexes": [7, 15, 23, 31],
                "window_size": 112,
            },
            **IMAGE_LAST,
        },
        "qwen3-vl-8b": {
            "model_type": "qwen3_vl",
            "text_config": text(
                *(4096, 12288, 36, 32, 8, 151_936),
                head_dim=128,
                rope_parameters={
                    "rope_type": "default",
                    "rope_theta": 5e6,
                    "mrope_section": [24, 20, 20],
                    "mrope_interleaved": True,
                },
            ),
            "vision_config": {
                "depth": 27,
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "out_hidden_size": 4096,
                "deepstack_visual_indexes": [8, 16, 24],
            },
            **IMAGE_LAST,
        },
        "internvl3-8b": {
            "model_type": "internvl",
            "vision_config": {
                "hidden_size": 1024,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "intermediate_size": 4096,
                "image_size": [448, 448],
                "patch_size": [14, 14],
                "attention_bias": True,
            },
            "text_config": {**QWEN_7B, "model_type": "qwen2"},
            "image_token_id": 151_667,
            "tie_word_embeddings": False,
        },
        "paligemma-3b": {
            "model_type": "paligemma",
            "vision_config": {**SIGLIP, **SO400M, "image_size": 224, "projection_dim": 2048},
            "text_config": text(2048, 16384, 18, 8, 1, 257_216, model_type="gemma", head_dim=256),
            "projection_dim": 2048,
            "hidden_size": 2048,
            "image_token_index": 257_152,
        },
        "idefics3-8b": {
            "model_type": "idefics3",
            "vision_config": {**SO400M, "image_size": 364},
            "text_config": {**LLAMA3, "model_type": "llama", "vocab_size": 128_259},
            "scale_factor": 2,
            "image_token_id": 128_257,
        },
        "llama-3.2-11b-vision": {
            "model_type": "mllama",
            "vision_config": {
                "hidden_size": 1280,
                "num_hidden_layers": 32,
                "num_global_layers": 8,
                "attention_heads": 16,
                "intermediate_size": 5120,
                "vision_output_dim": 7680,
                "image_size": 560,
                "patch_size": 14,
                "intermediate_layers_indices": [3, 7, 15, 23, 30],
                "max_num_tiles": 4,
            },
            "text_config": {
                **LLAMA3,
                "num_hidden_layers": 40,
                "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
            },
            "image_token_index": 128_256,
        },
        "instructblip-vicuna-7b": {
            "model_type": "instructblip",
            "text_config": {**VICUNA, "vocab_size": 32001},
            "num_query_tokens": 32,
            "image_token_index": 32000,
        },
        "idefics-9b": {
            "model_type": "idefics",
            "vocab_size": 32000,
            "additional_vocab_size": 2,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "cross_layer_interval": 4,
            "qk_layer_norms": True,
            "use_resampler": True,
            "vision_config": {
                "embed_dim": 1280,
                "image_size": 224,
                "patch_size": 14,
                "intermediate_size": 5120,
                "num_hidden_layers": 32,
                "num_attention_heads": 16,
            },
            "perceiver_config": {"use_resampler": True, "qk_layer_norms_perceiver": True},
        },
    }
)


def reduced(config: Config, layers: int) -> Config:
    """The same widths with at most `layers` blocks in the text model."""
    nested = config.get("text_config", config)
    depth = min(layers, nested["num_hidden_layers"])
    change: Config = {"num_hidden_layers": depth}
    if (crossing := nested.get("cross_attention_layers")) is not None:
        change["cross_attention_layers"] = [i for i in crossing if i < depth - 1]
    if "text_config" in config:
        return {**config, "text_config": {**nested, **change}}
    return {**config, **change}
