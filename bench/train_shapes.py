"""Sizes of the models that `bench.train` trains, and a folder of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bench.train_rows import PAD


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one model, in the words of its config.json."""

    side: int
    patch: int
    vision: dict[str, int]
    text: dict[str, int]


def sizes(width: int, inner: int, depth: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
    }


SHAPES = MappingProxyType(
    {
        "10M": Shape(96, 8, sizes(256, 1024, 4, 4), sizes(256, 704, 6, 4) | {"vocab_size": 4096}),
        "24M": Shape(96, 8, sizes(384, 1536, 6, 6), sizes(384, 1024, 8, 6) | {"vocab_size": 4096}),
        "tiny": Shape(16, 8, sizes(32, 64, 2, 2), sizes(32, 64, 2, 2) | {"vocab_size": 320}),
    }
)


def make_folder(folder: Path, shape: Shape, seed: int = 0) -> None:
    """Random LLaVA of SigLIP and Llama, float32, written by transformers."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    vision = {"model_type": "siglip_vision_model", "vision_use_head": False}
    text = {"model_type": "llama", "pad_token_id": PAD, "max_position_embeddings": 4096}
    config = LlavaConfig(
        vision_config=vision | {"image_size": shape.side, "patch_size": shape.patch} | shape.vision,
        text_config=text | shape.text,
        image_token_index=shape.text["vocab_size"] - 1,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    torch.manual_seed(seed)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
