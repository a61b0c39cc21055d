"""DINOv2, with and without registers, plain MLP or SwiGLU (giant).

Source: transformers 5.23.0 models/dinov2 and models/dinov2_with_registers. Alone, the tower's
features are its `last_hidden_state` after the final norm, registers left out.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import TowerFamily, activation, activation_name
from sightline.spec.resolution import IMAGENET_MEAN, IMAGENET_STD, FixedSpec, PixelSpec
from sightline.spec.rules import Drop, Fuse, Rename, Reshape, Rule, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "image_size": 224,
    "patch_size": 14,
    "num_channels": 3,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
}
REGISTER_DEFAULTS = DEFAULTS | {"patch_size": 16, "num_register_tokens": 4}
# Of the backbone interface, which selects and reshapes outputs, and of training.
HARMLESS = (
    "apply_layernorm attention_probs_dropout_prob drop_path_rate layerscale_value out_features "
    "out_indices reshape_hidden_states stage_names use_mask_token"
).split()
PROOF = "tests/parity/test_towers.py: last_hidden_state of transformers 5.23.0, several sizes"


def read(config: Config) -> VitSpec:
    config.expect("num_channels", 3, why="pictures have three channels")
    width, ratio = config.take("hidden_size", int), config.take("mlp_ratio", float)
    swiglu, inner = config.take("use_swiglu_ffn", bool), int(width * ratio)
    registers = config.take("num_register_tokens", int, 0)
    return VitSpec(
        width=width,
        depth=config.take("num_hidden_layers", int),
        heads=config.take("num_attention_heads", int),
        mlp="swiglu" if swiglu else "plain",
        mlp_width=swiglu_width(inner) if swiglu else inner,
        patch=config.side("patch_size"),
        image_size=config.side("image_size"),
        activation=activation(config, "hidden_act"),
        norm_eps=config.take("layer_norm_eps", float),
        qkv_bias=config.take("qkv_bias", bool),
        registers=registers,
        class_token="keep",
        layer_scale=True,
        post_norm="applied",
    )


def read_with_registers(config: Config) -> VitSpec:
    """Its positions are stretched with antialiasing, DINOv2's without."""
    return read(config).model_copy(update={"position_antialias": True})


def swiglu_width(inner: int) -> int:
    """Two thirds of the plain width, rounded up to a multiple of 8."""
    return (int(inner * 2 / 3) + 7) // 8 * 8


def rules(spec: VitSpec) -> tuple[Rule, ...]:
    names = {"norm1": "norm1", "norm2": "norm2", "attn.out": "attention.output.dense"}
    names |= {f"attn.{n[0]}": f"attention.attention.{n}" for n in ("query", "key", "value")}
    block = (
        *(Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in names.items()),
        *_mlp_rules(spec),
        Rename("layer_scale1.lambda1", "scale1"),
        Rename("layer_scale2.lambda1", "scale2"),
    )
    return (
        Rename("embeddings.patch_embeddings.projection.{p}", "vision.patch_embed.{p}"),
        Reshape("embeddings.cls_token", "vision.class_token", lead=2),
        Reshape("embeddings.position_embeddings", "vision.positions", lead=1),
        Reshape("embeddings.register_tokens", "vision.registers", lead=1),
        Drop("embeddings.mask_token", "stands for masked patches in pre-training"),
        *under(block, disk="encoder.layer.{i}.", ours="vision.blocks.{i}."),
        Rename("layernorm.{p}", "vision.post_norm.{p}"),
    )


def _mlp_rules(spec: VitSpec) -> tuple[Rule, ...]:
    if spec.mlp == "plain":
        return (
            Rename("mlp.fc1.{p}", "mlp.up.{p}"),
            Rename("mlp.fc2.{p}", "mlp.down.{p}"),
        )
    rows = (spec.mlp_width, spec.mlp_width)
    return (
        Fuse("mlp.weights_in.{p}", ("mlp.gate.{p}", "mlp.up.{p}"), rows),
        Rename("mlp.weights_out.{p}", "mlp.down.{p}"),
    )


def write(spec: VitSpec) -> dict[str, Any]:
    """`mlp_ratio` is written as the smallest ratio that gives the width."""
    return {
        "model_type": "dinov2_with_registers" if spec.registers else "dinov2",
        "hidden_size": spec.width,
        "num_hidden_layers": spec.depth,
        "num_attention_heads": spec.heads,
        "mlp_ratio": _ratio(spec),
        "use_swiglu_ffn": spec.mlp == "swiglu",
        "hidden_act": activation_name(spec.activation),
        "layer_norm_eps": spec.norm_eps,
        "image_size": spec.image_size,
        "patch_size": spec.patch,
        "num_channels": 3,
        "qkv_bias": spec.qkv_bias,
        **({"num_register_tokens": spec.registers} if spec.registers else {}),
        **({} if spec.registers else {"use_mask_token": False}),
    }


def _ratio(spec: VitSpec) -> int:
    inner = spec.mlp_width if spec.mlp == "plain" else spec.mlp_width * 3 // 2
    return round(inner / spec.width)


def views(size: int) -> FixedSpec:
    """BitImageProcessor as DINOv2 sets it: shortest edge 256 of 224, crop, ImageNet's colours."""
    edge = round(size * 256 / 224)
    pixels = PixelSpec(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return FixedSpec(size=size, fit="crop", shortest_edge=edge, pixels=pixels)


DINOV2 = TowerFamily(
    name="dinov2",
    model_types=("dinov2",),
    whole_types=(),
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embeddings.patch_embeddings.projection.weight",
    roots=("", "dinov2."),
    views=views,
    write=write,
    proof=PROOF,
    harmless=(*HARMLESS,),
)

DINOV2_REGISTERS = TowerFamily(
    name="dinov2_with_registers",
    model_types=("dinov2_with_registers",),
    whole_types=(),
    defaults=REGISTER_DEFAULTS,
    read=read_with_registers,
    rules=rules,
    anchor="embeddings.patch_embeddings.projection.weight",
    roots=("", "dinov2_with_registers."),
    views=views,
    write=write,
    proof=PROOF,
    harmless=(*HARMLESS,),
)
