"""Qwen2-VL and Qwen2.5-VL (model_type qwen2_vl, qwen2_5_vl).

Source: transformers 5.23.0 models/qwen2_vl and qwen2_5_vl.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.families.config import Config
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import activation
from sightline.families.files import Checkpoint
from sightline.families.qwen import DEFAULTS, QWEN2
from sightline.families.qwen2_vl_like import Shape, Vision, read_shape
from sightline.families.qwen2_vl_views import Sides
from sightline.spec.connector import MergerSpec
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.resolution import PixelRange, PixelSpec
from sightline.spec.vision import VitSpec

TEXT_DEFAULTS: dict[str, Any] = DEFAULTS | {
    "vocab_size": 152064,
    "hidden_size": 8192,
    "intermediate_size": 29568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1_000_000.0,
    "max_window_layers": 80,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
}
VISION_DEFAULTS: dict[str, Any] = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 3584,
    "hidden_act": "quick_gelu",
    "mlp_ratio": 4,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
VISION_25_DEFAULTS: dict[str, Any] = VISION_DEFAULTS | {
    "hidden_act": "silu",
    "intermediate_size": 3420,
    "tokens_per_second": 4,
    "window_size": 112,
    "out_hidden_size": 3584,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
SQUARE = 28**2
SIDES = Sides(
    pictures=PixelRange(min_pixels=4 * SQUARE, max_pixels=1280 * SQUARE),
    clips=PixelRange(min_pixels=128 * SQUARE, max_pixels=768 * SQUARE),
    pixels=PixelSpec(),
    of="frame",
)
BLOCK = {
    f"blocks.{{i}}.{disk}": f"vision.blocks.{{i}}.{ours}"
    for disk, ours in (("norm1", "norm1"), ("norm2", "norm2"), ("attn.proj", "attn.out"))
}
MERGER = {
    "merger.ln_q": "connector.main.norm",
    "merger.mlp.0": "connector.main.up",
    "merger.mlp.2": "connector.main.down",
}
PLAIN = {
    "blocks.{i}.mlp.fc1": "vision.blocks.{i}.mlp.up",
    "blocks.{i}.mlp.fc2": "vision.blocks.{i}.mlp.down",
}
GATED = {
    f"blocks.{{i}}.mlp.{name}_proj": f"vision.blocks.{{i}}.mlp.{name}"
    for name in ("gate", "up", "down")
}
PROOF = "tests/parity/test_qwen2_vl.py: logits and 32 greedy tokens of transformers 5.23.0"
FACTS = FamilyFacts(
    name="qwen2_vl",
    part="model",
    model_types=("qwen2_vl",),
    covers="Qwen2-VL 2B, 7B and 72B",
    proof=f"{PROOF}, two spellings, flat and nested configs",
    resolution=("native",),
    connector=("merger",),
    fusion=("interleave",),
    decoders=("qwen2",),
    grounding="qwen",
    video="two frames a view, time on an axis of its own",
)
FACTS_25 = replace(
    FACTS,
    name="qwen2_5_vl",
    model_types=("qwen2_5_vl",),
    covers="Qwen2.5-VL 3B, 7B, 32B and 72B",
    grounding="pixels",
    video="two frames a view, seconds on an axis of their own",
)


def read_qwen2_vl(checkpoint: Checkpoint) -> Declared:
    """Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_shape(checkpoint, QWEN2_VL)


def read_qwen2_5_vl(checkpoint: Checkpoint) -> Declared:
    """Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_shape(checkpoint, QWEN2_5_VL)


def _common(config: Config, width: str) -> dict[str, Any]:
    """What the encoders of both have; `width` is the key of their width."""
    return {
        "width": config.take(width, int),
        "depth": config.take("depth", int),
        "heads": config.take("num_heads", int),
        "patch": config.side("patch_size"),
        "frames_per_view": config.take("temporal_patch_size", int),
        "patch_bias": False,
        "positions": "absent",
        "rope": "shared",
        "rope_theta": rope_theta(config),
        "post_norm": "absent",
    }


def rope_theta(config: Config) -> float:
    """The base of a patch's rotations; only the files of transformers 5.x state it."""
    rope = config.sub("rope_parameters")
    rope.expect("rope_type", "axial", why="rows and columns turn half of each head")
    theta = rope.take("rope_theta", float, 10_000.0)
    rope.finish("qwen2_vl")
    return theta


def _vision(config: Config) -> Vision:
    config.maybe("hidden_size", int)  # the merger's outputs: the text model's width
    common = _common(config, "embed_dim")
    encoder = VitSpec(
        **common,
        mlp_width=int(common["width"] * config.take("mlp_ratio", float)),
        activation=activation(config, "hidden_act"),
    )
    return Vision(encoder, MergerSpec(side=config.take("spatial_merge_size", int)))


def _vision_25(config: Config) -> Vision:
    for key in ("out_hidden_size", "embed_dim", "mlp_ratio"):
        config.data.pop(key, None)
    config.expect("hidden_act", "silu", why="the gate of its blocks is SiLU")
    common, merge = _common(config, "hidden_size"), config.take("spatial_merge_size", int)
    encoder = VitSpec(
        **common,
        mlp="swiglu",
        mlp_width=config.take("intermediate_size", int),
        norm="rms",
        window=config.take("window_size", int) // merge // common["patch"] * merge,
        full_blocks=tuple(config.take("fullatt_block_indexes", list)),
    )
    speed = config.take("tokens_per_second", float)
    return Vision(encoder, MergerSpec(side=merge, norm="rms"), tokens_per_second=speed)


def _interleave(vision: Vision) -> InterleaveSpec:
    del vision
    return InterleaveSpec(positions="grid")


QWEN2_VL = Shape(
    facts=FACTS,
    text=QWEN2,
    text_defaults=TEXT_DEFAULTS,
    vision_defaults=VISION_DEFAULTS,
    vision=_vision,
    names=BLOCK | PLAIN | MERGER,
    fusion=_interleave,
    sides=SIDES,
    sections=(16, 24, 24),
    interleaved=False,
    grounding="qwen",
)
QWEN2_5_VL = Shape(
    facts=FACTS_25,
    text=QWEN2,
    text_defaults=TEXT_DEFAULTS,
    vision_defaults=VISION_25_DEFAULTS,
    vision=_vision_25,
    names=BLOCK | GATED | MERGER,
    fusion=_interleave,
    sides=SIDES,
    sections=(16, 24, 24),
    interleaved=False,
    grounding="pixels",
)
