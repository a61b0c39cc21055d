"""The large encoders at their published sizes, without weights: as many parameters as in the
reference, which takes its own from the same config. Their numbers: tests/parity."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf

from sightline.families import read_spec
from sightline.model.build import build_vision
from sightline.planner.pieces import count
from sightline.planner.tensors import vision_weights
from sightline.spec import VitSpec

CLIP = {"patch_size": 14, "image_size": 224, "hidden_act": "gelu"}
SIX_B = {
    "hidden_size": 3200, "num_hidden_layers": 45, "num_attention_heads": 25,
    "intermediate_size": 12800, "use_qk_norm": True, "norm_type": "rms_norm",
    "layer_norm_eps": 1e-6, "use_mean_pooling": True,
}  # fmt: skip
# Config, and millions of parameters.
TOWERS: dict[str, tuple[Any, Any, int]] = {
    "ViT-H/14": (
        hf.CLIPVisionModel,
        hf.CLIPVisionConfig(hidden_size=1280, num_hidden_layers=32, num_attention_heads=16,
                            intermediate_size=5120, **CLIP), 631),
    "OpenCLIP G/14": (
        hf.CLIPVisionModel,
        hf.CLIPVisionConfig(hidden_size=1664, num_hidden_layers=48, num_attention_heads=16,
                            intermediate_size=8192, **CLIP), 1845),
    "EVA-CLIP g/14": (hf.Blip2VisionModel, hf.Blip2VisionConfig(), 986),
    "InternViT 300M": (hf.InternVLVisionModel, hf.InternVLVisionConfig(attention_bias=True), 304),
    "InternViT 6B": (hf.InternVLVisionModel, hf.InternVLVisionConfig(**SIX_B), 5540),
}  # fmt: skip


@pytest.mark.parametrize("name", TOWERS)
def test_as_many_parameters_as_the_reference(name: str) -> None:
    kind, config, millions = TOWERS[name]
    spec = read_spec(config.to_dict()).vision
    assert isinstance(spec, VitSpec)
    with torch.device("meta"):
        ours, theirs = build_vision(spec), kind(config)
    built = sum(p.numel() for p in ours.parameters())
    unused = ("embeddings.mask_token", "vision_model.embeddings.mask_token")
    wanted = sum(p.numel() for key, p in theirs.named_parameters() if key not in unused)
    assert built == wanted == count(vision_weights(spec))
    assert built == pytest.approx(millions * 1e6, rel=2e-3)
