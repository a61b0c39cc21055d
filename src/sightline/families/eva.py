"""EVA-CLIP g/14 as BLIP-2 and InstructBLIP store it: 39 of its 40 blocks, q, k and v in one tensor.

Source: transformers 5.23.0 models/blip_2 (Fang et al. 2023). EVA has no key bias; the fused bias on
disk has zeros there, or what fine-tuning made of them. Features are the class token and the
patches after the final norm.
"""

from __future__ import annotations

from typing import Any

from sightline.families.clip import read_common
from sightline.families.config import Config
from sightline.families.family import TowerFamily
from sightline.spec.resolution import FixedSpec
from sightline.spec.rules import Fuse, Rename, Reshape, Rule, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "hidden_size": 1408,
    "intermediate_size": 6144,
    "num_hidden_layers": 39,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "qkv_bias": True,
}
BLOCK = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.out": "self_attn.projection",
    "mlp.up": "mlp.fc1",
    "mlp.down": "mlp.fc2",
}


def read(config: Config) -> VitSpec:
    return VitSpec(
        **read_common(config),
        class_token="keep",
        qkv_bias=config.take("qkv_bias", bool),
        post_norm="applied",
    )


def rules(spec: VitSpec) -> tuple[Rule, ...]:
    qkv = ("attn.q.{p}", "attn.k.{p}", "attn.v.{p}")
    block: tuple[Rule, ...] = (
        *(Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in BLOCK.items()),
        Fuse("self_attn.qkv.{p}", qkv, (spec.width,) * 3),
    )
    return (
        Reshape("embeddings.class_embedding", "vision.class_token", lead=2),
        Reshape("embeddings.position_embedding", "vision.positions", lead=1),
        Rename("embeddings.patch_embedding.{p}", "vision.patch_embed.{p}"),
        *under(block, disk="encoder.layers.{i}.", ours="vision.blocks.{i}."),
        Rename("post_layernorm.{p}", "vision.post_norm.{p}"),
    )


def views(size: int) -> FixedSpec:
    """BlipImageProcessor: squashed to a square, bicubic, CLIP's mean and deviation."""
    return FixedSpec(size=size, fit="squash")


EVA = TowerFamily(
    name="eva_clip_g",
    model_types=("blip_2_vision_model", "instructblip_vision_model"),
    whole_types=(),
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embeddings.patch_embedding.weight",
    roots=("", "vision_model."),
    views=views,
    proof="tests/parity/test_blip2.py: last_hidden_state of transformers 5.23.0, several sizes",
    harmless=("dropout",),
)
