"""CLIP's vision tower: of the whole CLIPModel, or alone (OpenCLIP H and G/14 too).

Source: transformers 5.23.0 models/clip; `pre_layrnorm` is spelled so there. Alone, the tower's
features are its `last_hidden_state`: every token of the last block, before the final norm.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import TowerFamily, activation, activation_name
from sightline.spec.resolution import FixedSpec
from sightline.spec.rules import Drop, Rename, Rule, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
PROOF = "tests/parity/test_towers.py: last_hidden_state of transformers 5.23.0, several sizes"
NOT_COMPUTED = "positions are counted, not stored"
BLOCK = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    **{f"attn.{n}": f"self_attn.{n}_proj" for n in "qkv"},
    "attn.out": "self_attn.out_proj",
    "mlp.up": "mlp.fc1",
    "mlp.down": "mlp.fc2",
}
TEXT_SIDE = "belongs to the text tower or to the contrastive head"


def read_common(config: Config) -> dict[str, Any]:
    """The fields that CLIP and SigLIP spell alike."""
    config.expect("num_channels", 3, why="pictures have three channels")
    return {
        "width": config.take("hidden_size", int),
        "depth": config.take("num_hidden_layers", int),
        "heads": config.take("num_attention_heads", int),
        "mlp_width": config.take("intermediate_size", int),
        "patch": config.side("patch_size"),
        "image_size": config.side("image_size"),
        "activation": activation(config, "hidden_act"),
        "norm_eps": config.take("layer_norm_eps", float),
    }


def read(config: Config) -> VitSpec:
    return VitSpec(
        **read_common(config),
        class_token="keep",
        patch_bias=False,
        pre_norm=True,
        post_norm="unused",
    )


def write_common(spec: VitSpec) -> dict[str, Any]:
    return {
        "hidden_size": spec.width,
        "num_hidden_layers": spec.depth,
        "num_attention_heads": spec.heads,
        "intermediate_size": spec.mlp_width,
        "patch_size": spec.patch,
        "image_size": spec.image_size,
        "hidden_act": activation_name(spec.activation),
        "layer_norm_eps": spec.norm_eps,
        "num_channels": 3,
    }


def write(spec: VitSpec) -> dict[str, Any]:
    return {"model_type": "clip_vision_model", **write_common(spec)}


def rules(spec: VitSpec) -> tuple[Rule, ...]:
    return (
        Rename("embeddings.class_embedding", "vision.class_token"),
        *common_rules(),
        Rename("pre_layrnorm.{p}", "vision.pre_norm.{p}"),
    )


def common_rules() -> tuple[Rule, ...]:
    """Names that CLIP and SigLIP share."""
    block = [Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in BLOCK.items()]
    return (
        Rename("embeddings.patch_embedding.{p}", "vision.patch_embed.{p}"),
        Rename("embeddings.position_embedding.weight", "vision.positions"),
        Drop("embeddings.position_ids", NOT_COMPUTED),
        *under(block, disk="encoder.layers.{i}.", ours="vision.blocks.{i}."),
        Rename("post_layernorm.{p}", "vision.post_norm.{p}"),
    )


def views(size: int) -> FixedSpec:
    """CLIPImageProcessor: shortest edge and centre crop, bicubic, CLIP's mean and deviation."""
    return FixedSpec(size=size, fit="crop")


CLIP = TowerFamily(
    name="clip",
    model_types=("clip_vision_model",),
    whole_types=("clip",),
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embeddings.patch_embedding.weight",
    roots=("vision_model.", ""),
    views=views,
    whole=(
        Drop("text_model.{any}", TEXT_SIDE),
        Drop("text_projection.weight", TEXT_SIDE),
        Drop("visual_projection.weight", "projects the class token for the contrastive loss"),
        Drop("logit_scale", TEXT_SIDE),
    ),
    write=write,
    proof=PROOF,
    harmless=("vocab_size", "dropout"),
)
