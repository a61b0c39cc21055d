"""InternViT 300M and 6B, alone or inside InternVL, in both dialects and both spellings.

Sources: transformers 5.23.0 models/internvl and models/qianfan_ocr; OpenGVLab/InternVL's
modeling_intern_vit.py. Alone, the tower's features are its `last_hidden_state` with class token.

| what             | first release                | transformers                     |
|------------------|------------------------------|----------------------------------|
| bias of q, k, v  | qkv_bias                     | attention_bias                   |
| qk-norm          | qk_normalization             | use_qk_norm (eps always 1e-6)    |
| tensors          | attn.qkv (thirds), ls1, ls2  | attention.q_proj, …, lambda_1, 2 |

Qianfan-OCR has transformers' config and, on disk, the tensor names of the first release.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import TowerFamily, activation
from sightline.spec.resolution import IMAGENET_MEAN, IMAGENET_STD, FixedSpec, PixelSpec
from sightline.spec.rules import Drop, Fuse, Rename, Reshape, Rule, under
from sightline.spec.vision import VitSpec

SHARED: dict[str, Any] = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "num_channels": 3,
}
FIRST_DEFAULTS = SHARED | {
    "hidden_size": 3200,
    "num_hidden_layers": 48,
    "num_attention_heads": 25,
    "intermediate_size": 12800,
    "image_size": 224,
    "patch_size": 14,
    "qkv_bias": False,
    "qk_normalization": True,
    "norm_type": "rms_norm",
}
DEFAULTS = SHARED | {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "image_size": (448, 448),
    "patch_size": (14, 14),
    "attention_bias": False,
    "use_qk_norm": False,
    "norm_type": "layer_norm",
    "use_absolute_position_embeddings": True,
    "use_mean_pooling": True,
}
# Of training, of kernels, and of a mixture of experts that no release has switched on.
FIRST_HARMLESS = tuple(
    """attention_probs_dropout_prob capacity_factor drop_path_rate dropout eval_capacity_factor
    laux_allreduce moe_coeff_ratio moe_intermediate_size moe_output_scale noisy_gate_policy
    num_experts num_routed_experts num_shared_experts shared_expert_intermediate_size
    use_flash_attn use_residual use_rts use_weighted_residual""".split()
)
HARMLESS = ("drop_path_rate", "layer_scale_init_value", "projection_dropout", "use_mask_token")
NORMS: dict[str, Literal["layer", "rms"]] = {"layer_norm": "layer", "rms_norm": "rms"}
PROOF = "tests/parity/test_internvl.py: features of transformers 5.23.0, several sizes"
FIRST_PROOF = "tests/parity/test_internvl_original.py: features of transformers, renamed and fused"


def read(config: Config) -> VitSpec:
    """transformers' dialect."""
    config.expect("use_absolute_position_embeddings", True, why="positions are learned")
    qk_norm, pooled = config.take("use_qk_norm", bool), config.take("use_mean_pooling", bool)
    if qk_norm:
        config.expect("layer_norm_eps", 1e-6, why="the norms of queries and keys have 1e-6")
    if not pooled:
        config.expect("norm_type", "layer_norm", why="the final norm is a LayerNorm")
    bias, post_norm = config.take("attention_bias", bool), "absent" if pooled else "applied"
    return _vit(config, bias=bias, qk_norm=qk_norm, post_norm=post_norm)


def read_first(config: Config) -> VitSpec:
    """The dialect of the first releases."""
    config.expect("use_moe", False, None, why="a mixture of experts is not built")
    config.expect("moe_config", None, why="a mixture of experts is not built")
    bias, qk_norm = config.take("qkv_bias", bool), config.take("qk_normalization", bool)
    return _vit(config, bias=bias, qk_norm=qk_norm, post_norm="absent")


def _vit(config: Config, *, bias: bool, qk_norm: bool, post_norm: str) -> VitSpec:
    config.expect("num_channels", 3, why="pictures have three channels")
    norm = config.take("norm_type", str)
    if norm not in NORMS:
        raise FamilyError(config.name("norm_type"), f"is {norm!r}", f"known: {', '.join(NORMS)}")
    return VitSpec(
        width=config.take("hidden_size", int),
        depth=config.take("num_hidden_layers", int),
        heads=config.take("num_attention_heads", int),
        mlp_width=config.take("intermediate_size", int),
        patch=config.side("patch_size"),
        image_size=config.side("image_size"),
        activation=activation(config, "hidden_act"),
        norm=NORMS[norm],
        norm_eps=config.take("layer_norm_eps", float),
        qkv_bias=bias,
        qk_norm="rms" if qk_norm else "none",
        class_token="keep",
        layer_scale=True,
        post_norm=post_norm,
    )


def rules(spec: VitSpec, blocks: str = "encoder.layer.") -> tuple[Rule, ...]:
    """transformers' names."""
    del spec
    names = {"norm1": "layernorm_before", "norm2": "layernorm_after"}
    names |= {f"attn.{n}": f"attention.{n}_proj" for n in "qkv"}
    names |= {f"attn.{n}_norm": f"attention.{n}_norm" for n in "qk"}
    names |= {"attn.out": "attention.projection_layer"}
    scales = (Rename("lambda_1", "scale1"), Rename("lambda_2", "scale2"))
    embeddings = ("patch_embeddings.projection", "cls_token", "position_embeddings")
    return _named(embeddings, blocks, names, scales)


def first_rules(spec: VitSpec) -> tuple[Rule, ...]:
    """The names of the first releases."""
    names = {"norm1": "norm1", "norm2": "norm2", "attn.out": "attn.proj"}
    names |= {f"attn.{n}_norm": f"attn.{n}_norm" for n in "qk"}
    rest = (
        Fuse("attn.qkv.{p}", ("attn.q.{p}", "attn.k.{p}", "attn.v.{p}"), (spec.width,) * 3),
        Rename("ls1", "scale1"),
        Rename("ls2", "scale2"),
    )
    embeddings = ("patch_embedding", "class_embedding", "position_embedding")
    return _named(embeddings, "encoder.layers.", names, rest)


def _named(
    embeddings: tuple[str, str, str], blocks: str, names: dict[str, str], rest: tuple[Rule, ...]
) -> tuple[Rule, ...]:
    patch, token, positions = (f"embeddings.{name}" for name in embeddings)
    names = names | {"mlp.up": "mlp.fc1", "mlp.down": "mlp.fc2"}
    block = tuple(Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in names.items())
    return (
        Rename(f"{patch}.{{p}}", "vision.patch_embed.{p}"),
        Reshape(token, "vision.class_token", lead=2),
        Reshape(positions, "vision.positions", lead=1),
        Drop("embeddings.mask_token", "stands for masked patches in pre-training"),
        *under((*block, *rest), disk=f"{blocks}{{i}}.", ours="vision.blocks.{i}."),
        Rename("layernorm.{p}", "vision.post_norm.{p}"),
    )


def views(size: int) -> FixedSpec:
    """One square, ImageNet's colours."""
    return FixedSpec(size=size, pixels=PixelSpec(mean=IMAGENET_MEAN, std=IMAGENET_STD))


INTERNVIT = TowerFamily(
    name="internvit",
    model_types=("intern_vit_6b",),
    whole_types=(),
    defaults=FIRST_DEFAULTS,
    read=read_first,
    rules=first_rules,
    anchor="embeddings.patch_embedding.weight",
    roots=("", "vision_model."),
    views=views,
    proof=FIRST_PROOF,
    harmless=FIRST_HARMLESS,
)

INTERNVIT_HF = TowerFamily(
    name="internvit_hf",
    model_types=("internvl_vision",),
    whole_types=(),
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embeddings.patch_embeddings.projection.weight",
    roots=("",),
    views=views,
    proof=PROOF,
    harmless=HARMLESS,
)

QIANFAN_VIT = replace(
    INTERNVIT_HF,
    name="qianfan_vit",
    model_types=("qianfan_ocr_vision",),
    defaults=DEFAULTS | {"attention_bias": True},
    rules=first_rules,
    anchor=INTERNVIT.anchor,
    roots=INTERNVIT.roots,
)
