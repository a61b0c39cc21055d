"""LLaVA 1.5 and LLaVA-Interleave in Hugging Face's format (model_type llava)."""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import TowerFamily
from sightline.families.files import Checkpoint
from sightline.families.llava_like import CLIP_L_336, DECODERS, Shape, read_shape
from sightline.families.views import read_views
from sightline.spec.resolution import FixedSpec
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "image_token_index": 32000,
    "projector_hidden_act": "gelu",
    "vision_feature_select_strategy": "default",
    "vision_feature_layer": -2,
    "multimodal_projector_bias": True,
    "tie_word_embeddings": False,
}
PROOF = "tests/parity/test_llava.py: logits and 32 greedy tokens of transformers 5.23.0"
FACTS = FamilyFacts(
    name="llava",
    part="model",
    model_types=("llava",),
    covers="LLaVA 1.5 and LLaVA-Interleave; CLIP, SigLIP or DINOv2 towers",
    proof=f"{PROOF}, three spellings, two dialects",
    exports=True,
    resolution=("fixed",),
    connector=("mlp",),
    fusion=("interleave",),
    decoders=DECODERS,
)


def read_llava(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_shape(checkpoint, LLAVA)


def _views(
    checkpoint: Checkpoint, config: Config, tower: TowerFamily, vision: VitSpec
) -> tuple[FixedSpec, tuple[str, ...]]:
    del config
    return read_views(checkpoint, tower.views(vision.position_side), tower.name)


LLAVA = Shape(family="llava", defaults=DEFAULTS, views=_views, tower=CLIP_L_336)
