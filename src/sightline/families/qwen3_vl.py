"""Qwen3-VL with a dense text model (model_type qwen3_vl).

Source: transformers 5.23.0 models/qwen3_vl.
"""

from __future__ import annotations

import math
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import activation
from sightline.families.files import Checkpoint
from sightline.families.qwen import QWEN3, QWEN3_DEFAULTS
from sightline.families.qwen2_vl import BLOCK, PROOF, rope_theta
from sightline.families.qwen2_vl_like import Shape, Vision, read_shape
from sightline.families.qwen2_vl_views import Sides
from sightline.spec.connector import MergerSpec
from sightline.spec.fusion import DeepStackSpec, FusionSpec, InterleaveSpec
from sightline.spec.resolution import FramesSpec, PixelRange, PixelSpec
from sightline.spec.vision import VitSpec

TEXT_DEFAULTS: dict[str, Any] = QWEN3_DEFAULTS | {
    "max_position_embeddings": 128000,
    "rope_theta": 500_000.0,
}
VISION_DEFAULTS: dict[str, Any] = {
    "depth": 27,
    "hidden_size": 1152,
    "hidden_act": "gelu_pytorch_tanh",
    "intermediate_size": 4304,
    "num_heads": 16,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [8, 16, 24],
}
SQUARE, HALF = 32**2, (0.5, 0.5, 0.5)
FRAMES = FramesSpec(sampling="fps", fps=2.0, min_frames=4, max_frames=768, placing="nearest")
SIDES = Sides(
    pictures=PixelRange(min_pixels=64 * SQUARE, max_pixels=16384 * SQUARE),
    clips=PixelRange(min_pixels=128 * SQUARE, max_pixels=768 * SQUARE, of="clip"),
    pixels=PixelSpec(mean=HALF, std=HALF),
    of="clip",
    frames=FRAMES,
)
MLP = ("linear_fc1", "up"), ("linear_fc2", "down")
NAMES = {
    **BLOCK,
    **{f"blocks.{{i}}.mlp.{disk}": f"vision.blocks.{{i}}.mlp.{ours}" for disk, ours in MLP},
    **{
        f"{disk}.{theirs}": f"{ours}.{name}"
        for disk, ours in (
            ("merger", "connector.main"),
            ("deepstack_merger_list.{i}", "connector.deep.{i}"),
        )
        for theirs, name in (("norm", "norm"), *MLP)
    },
}
FACTS = FamilyFacts(
    name="qwen3_vl",
    part="model",
    model_types=("qwen3_vl",),
    covers="Qwen3-VL 2B, 4B, 8B and 32B",
    proof=f"{PROOF}, two spellings",
    resolution=("native",),
    connector=("merger",),
    fusion=("deep_stack",),
    decoders=("qwen3",),
    grounding="json",
    video="two frames a view, each behind its time as text",
)


def read_qwen3_vl(checkpoint: Checkpoint) -> Declared:
    """Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_shape(checkpoint, QWEN3_VL)


def _vision(config: Config) -> Vision:
    config.maybe("out_hidden_size", int)  # the text model's width
    patch = config.side("patch_size")
    deep = tuple(block + 1 for block in config.take("deepstack_visual_indexes", list))
    encoder = VitSpec(
        width=config.take("hidden_size", int),
        depth=config.take("depth", int),
        heads=config.take("num_heads", int),
        mlp_width=config.take("intermediate_size", int),
        activation=activation(config, "hidden_act"),
        patch=patch,
        image_size=patch * _side(config),
        positions="corners",
        rope="shared",
        rope_theta=rope_theta(config),
        frames_per_view=config.take("temporal_patch_size", int),
        post_norm="absent",
        deep_layers=deep,
    )
    merger = MergerSpec(side=config.take("spatial_merge_size", int), levels=len(deep))
    return Vision(encoder, merger)


def _side(config: Config) -> int:
    """Learned positions form a square."""
    count = config.take("num_position_embeddings", int)
    if (side := math.isqrt(count)) ** 2 != count:
        raise FamilyError(
            config.name("num_position_embeddings"), f"{count} form no square", "mend config.json"
        )
    return side


def _fusion(vision: Vision) -> FusionSpec:
    """Without deeper features there is nothing to add."""
    if not vision.merger.levels:
        return InterleaveSpec(positions="grid")
    return DeepStackSpec(positions="grid", levels=vision.merger.levels)


QWEN3_VL = Shape(
    facts=FACTS,
    text=QWEN3,
    text_defaults=TEXT_DEFAULTS,
    vision_defaults=VISION_DEFAULTS,
    vision=_vision,
    names=NAMES,
    fusion=_fusion,
    sides=SIDES,
    sections=(24, 20, 20),
    interleaved=True,
    grounding="json",
    stamped=True,
)
