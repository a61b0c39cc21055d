"""Tiny InternVLs of transformers, and conversations about pictures of any shape for them."""

from __future__ import annotations

import re
from typing import Any

import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import IMAGE, TEXT, words
from tests.parity.tiles import Seen
from torch import Tensor

from sightline.core.geometry import MediaSize
from sightline.model.visual import VisualInput
from sightline.resolution.policy import layout
from sightline.spec import ModelSpec

Tensors = dict[str, Tensor]

START, END = 297, 298
LONG = TEXT | {"max_position_embeddings": 512}
TEXTS: dict[str, dict[str, Any]] = {
    "qwen2": {"model_type": "qwen2", **LONG},
    "llama": {"model_type": "llama", **LONG},
    "qwen3": {"model_type": "qwen3", **LONG, "head_dim": 16},
}
VIT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": [28, 28],
    "patch_size": [7, 7],
    "attention_bias": True,
}
SIX_B = VIT | {"attention_bias": False, "use_qk_norm": True, "norm_type": "rms_norm"}
QIANFAN_VIT = {k: v for k, v in VIT.items() if k != "attention_bias"}


def internvl(text: str, vision: dict[str, Any] = VIT, seed: int = 0, **changes: Any) -> Any:
    """A tiny random InternVL of transformers; its head is its own unless `changes` tie it."""
    chosen = {
        "text_config": TEXTS[text],
        "image_token_id": IMAGE,
        "image_seq_length": 4,
        "tie_word_embeddings": False,
    }
    config = hf.InternVLConfig(vision_config=vision, **chosen | changes)
    return ref.randomise(hf.InternVLForConditionalGeneration(config), seed)


def qianfan(seed: int = 0, **changes: Any) -> Any:
    """A tiny random Qianfan-OCR of transformers."""
    chosen = {"text_config": TEXTS["qwen3"], "image_token_id": IMAGE, "image_seq_length": 4}
    config = hf.QianfanOCRConfig(vision_config=QIANFAN_VIT, **chosen | changes)
    return ref.randomise(hf.QianfanOCRForConditionalGeneration(config), seed)


def tower(vision: dict[str, Any], seed: int = 0) -> Any:
    """A tiny random InternViT of transformers."""
    return ref.randomise(hf.InternVLVisionModel(hf.InternVLVisionConfig(**vision)), seed)


def chats(spec: ModelSpec) -> dict[str, Seen]:
    """No picture, one, several of other shapes, one in the second turn, a clip of three frames."""
    text = [words(n, n) for n in (3, 4, 5, 6, 9)]
    frame = MediaSize(90, 50, video=True)
    return {
        "text": chat(spec, text[4]),
        "one": chat(spec, text[0], MediaSize(640, 480), text[3], seed=1),
        "tall": chat(spec, MediaSize(37, 90), text[1], seed=2),
        "several": chat(spec, text[0], MediaSize(500, 1100), text[1], MediaSize(9, 9), text[2],
                        MediaSize(300, 40), text[0], seed=3),
        "second turn": chat(spec, text[4], text[2], MediaSize(99, 100), text[3], seed=4),
        "clip": chat(spec, text[0], frame, text[1], frame, text[2], frame, text[0], seed=5),
    }  # fmt: skip


def chat(spec: ModelSpec, *parts: list[int] | MediaSize, seed: int = 0) -> Seen:
    """Runs of ids and pictures, each between <img> and </img>; every view has random pixels."""
    laid = layout(spec, [part for part in parts if isinstance(part, MediaSize)])
    generator = torch.Generator().manual_seed(seed)
    pixels = tuple(
        torch.randn(3, view.size.height, view.size.width, generator=generator)
        for view in laid.views
    )
    spans, ids = iter(laid.media), []
    for part in parts:
        ids += part if isinstance(part, list) else [START, *[IMAGE] * next(spans).tokens, END]
    token_ids = torch.tensor(ids)
    positions_AT = torch.arange(len(ids))[None]
    item = Item(tuple(ids), token_ids == IMAGE, positions_AT, VisualInput(laid, pixels))
    inputs = {"input_ids": token_ids[None]}
    return Seen(item, inputs | ({"pixel_values": torch.stack(pixels)} if pixels else {}))


def as_internlm2(tensors: Tensors, config: Any, root: str = "") -> Tensors:
    """A Llama's tensors under `root` by the names of InternLM2, q, k and v in one."""
    names = {
        "model.embed_tokens.": "model.tok_embeddings.",
        "lm_head.": "output.",
        ".input_layernorm.": ".attention_norm.",
        ".post_attention_layernorm.": ".ffn_norm.",
        ".self_attn.o_proj.": ".attention.wo.",
        ".mlp.gate_proj.": ".feed_forward.w1.",
        ".mlp.down_proj.": ".feed_forward.w2.",
        ".mlp.up_proj.": ".feed_forward.w3.",
    }
    renamed: Tensors = {}
    for name, tensor in tensors.items():
        if name.startswith(root) and ".self_attn.q_proj." in name:
            keys = [name.replace(".q_proj.", f".{n}_proj.") for n in "qkv"]
            fused = name.replace(".self_attn.q_proj.", ".attention.wqkv.")
            renamed[fused] = by_group([tensors[key] for key in keys], config.num_key_value_heads)
        elif not (name.startswith(root) and re.search(r"\.self_attn\.[kv]_proj\.", name)):
            for old, new in names.items() if name.startswith(root) else ():
                name = name.replace(old, new)
            renamed[name] = tensor
    return renamed


def by_group(parts: list[Tensor], groups: int) -> Tensor:
    """[q … q, k, v] for each key-value head."""
    runs = [part.unflatten(0, (groups, -1)) for part in parts]
    return torch.cat(runs, 1).flatten(0, 1)


def internlm2_config(config: Any) -> dict[str, Any]:
    """The config.json of InternLM2 for a LlamaConfig."""
    rope = {k: v for k, v in config.rope_parameters.items() if k != "rope_theta"}
    kind = rope.pop("rope_type")
    keys = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads"
    keys += " num_key_value_heads max_position_embeddings rms_norm_eps hidden_act"
    return {key: getattr(config, key) for key in keys.split()} | {
        "model_type": "internlm2",
        "architectures": ["InternLM2ForCausalLM"],
        "auto_map": {"AutoModelForCausalLM": "modeling_internlm2.InternLM2ForCausalLM"},
        "attn_implementation": "flash_attention_2",
        "bias": config.attention_bias,
        "rope_theta": config.rope_parameters["rope_theta"],
        "rope_scaling": None if kind == "default" else {"type": kind, "factor": rope["factor"]},
        "torch_dtype": "float32",
        "use_cache": True,
    }


FIRST_NAMES = {
    "vision_tower.": "vision_model.",
    "multi_modal_projector.layer_norm.": "mlp1.0.",
    "multi_modal_projector.linear_1.": "mlp1.1.",
    "multi_modal_projector.linear_2.": "mlp1.3.",
    "encoder.layer.": "encoder.layers.",
    "embeddings.cls_token": "embeddings.class_embedding",
    "embeddings.position_embeddings": "embeddings.position_embedding",
    "embeddings.patch_embeddings.projection.": "embeddings.patch_embedding.",
    ".layernorm_before.": ".norm1.",
    ".layernorm_after.": ".norm2.",
    ".lambda_1": ".ls1",
    ".lambda_2": ".ls2",
    ".attention.projection_layer.": ".attn.proj.",
    ".attention.q_norm.": ".attn.q_norm.",
    ".attention.k_norm.": ".attn.k_norm.",
}


def as_first(tensors: Tensors) -> Tensors:
    """InternVL's tower and projector by the names of the first releases, q, k and v as thirds."""
    renamed: Tensors = {}
    for name, tensor in tensors.items():
        if found := re.search(r"\.attention\.([qkv])_proj\.", name):
            keys = [name.replace(found.group(), f".attention.{n}_proj.") for n in "qkv"]
            name, tensor = (
                name.replace(found.group(), ".attn.qkv."),
                torch.cat([tensors[key] for key in keys]),
            )
        if not name.startswith("language_model."):
            for old, new in FIRST_NAMES.items():
                name = name.replace(old, new)
        renamed[name] = tensor
    return renamed


def first_config(theirs: Any, decoder: str, **changes: Any) -> dict[str, Any]:
    """The config.json of the first releases for an InternVL of transformers."""
    vision, text = theirs.config.vision_config, theirs.config.text_config
    llm = {"model_type": decoder, **ref.hub_dialect(text.to_dict())}
    return {
        "model_type": "internvl_chat",
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoModel": "modeling_internvl_chat.InternVLChatModel"},
        "downsample_ratio": theirs.config.downsample_ratio,
        "dynamic_image_size": True,
        "force_image_size": 28,
        "llm_config": internlm2_config(text) if decoder == "internlm2" else llm,
        "max_dynamic_patch": 12,
        "min_dynamic_patch": 1,
        "pad2square": False,
        "ps_version": "v2",
        "select_layer": theirs.config.vision_feature_layer,
        "template": "internvl2_5",
        "torch_dtype": "float32",
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "use_thumbnail": True,
        "vision_config": {
            "model_type": "intern_vit_6b",
            "architectures": ["InternVisionModel"],
            "attention_dropout": 0.0,
            "drop_path_rate": 0.1,
            "dropout": 0.0,
            "hidden_act": "gelu",
            "hidden_size": vision.hidden_size,
            "image_size": vision.image_size[0],
            "initializer_factor": 1.0,
            "intermediate_size": vision.intermediate_size,
            "layer_norm_eps": vision.layer_norm_eps,
            "norm_type": vision.norm_type,
            "num_attention_heads": vision.num_attention_heads,
            "num_channels": 3,
            "num_hidden_layers": vision.num_hidden_layers,
            "patch_size": vision.patch_size[0],
            "qk_normalization": vision.use_qk_norm,
            "qkv_bias": vision.attention_bias,
            "use_bfloat16": True,
            "use_flash_attn": True,
        },
        **changes,
    }
