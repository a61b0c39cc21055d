"""LLaVA-OneVision: many tiles shrunk to nine, several pictures as one view each, pooled clips.

Source: transformers 5.23.0 models/llava_onevision.
"""

from __future__ import annotations

import itertools
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import TowerFamily
from sightline.families.files import Checkpoint
from sightline.families.llava import DEFAULTS as LLAVA_DEFAULTS
from sightline.families.llava_like import DECODERS, Shape, read_shape
from sightline.families.llava_next import FRAMES, read_tiles
from sightline.spec.resolution import AnyresSpec, ClipSpec, PoolSpec
from sightline.spec.vision import VitSpec

SIDES = range(384, 2305, 384)
DEFAULTS: dict[str, Any] = LLAVA_DEFAULTS | {
    "image_token_index": 151646,
    "video_token_index": 151647,
    "vision_feature_select_strategy": "full",
    "vision_feature_layer": -1,
    "image_grid_pinpoints": [list(point) for point in itertools.product(SIDES, SIDES)],
    "vision_aspect_ratio": "anyres_max_9",
}
# SigLIP SO400M/14-384 without its last block, whose input is what LLaVA takes.
SIGLIP_384: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 26,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "vision_use_head": False,
}
ASPECT = "anyres_max_"
CLIP = ClipSpec(fit="squash", pool=PoolSpec(at="tokens", mode="bilinear"), newline=True)
FACTS = FamilyFacts(
    name="llava_onevision",
    part="model",
    model_types=("llava_onevision",),
    covers="LLaVA-OneVision",
    proof="tests/parity/test_llava_onevision.py: logits and 32 greedy tokens of transformers "
    "5.23.0, three spellings, two dialects; pictures and clips",
    resolution=("anyres",),
    connector=("mlp",),
    fusion=("interleave",),
    decoders=DECODERS,
    video="frames pooled 2 × 2 after the connector, a newline at the end",
)


def read_llava_onevision(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_shape(checkpoint, LLAVA_ONEVISION)


def _views(
    checkpoint: Checkpoint, config: Config, tower: TowerFamily, vision: VitSpec
) -> tuple[AnyresSpec, tuple[str, ...]]:
    aspect = config.take("vision_aspect_ratio", str)
    tiles = aspect.removeprefix(ASPECT)
    if not aspect.startswith(ASPECT) or not tiles.isdecimal():
        problem = f"{aspect!r} is not supported"
        raise FamilyError("vision_aspect_ratio", problem, f"known: {ASPECT} and a number")
    chosen = {"max_tiles": int(tiles), "several": "pad", "clip": CLIP, "video": FRAMES}
    return read_tiles(checkpoint, config, tower, vision, **chosen)


LLAVA_ONEVISION = Shape(
    family="llava_onevision",
    defaults=DEFAULTS,
    views=_views,
    tower=SIGLIP_384,
    text_type="qwen2",
    newline=True,
    video=True,
)
