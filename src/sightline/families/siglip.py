"""SigLIP's vision tower: no class token, biases in the patch embedding, gelu_tanh.

Source: transformers 5.23.0 models/siglip. Alone, the tower's features are its `last_hidden_state`,
after the final norm; the pooling head is not part of them.
"""

from __future__ import annotations

from typing import Any

from sightline.families.clip import DEFAULTS as CLIP_DEFAULTS
from sightline.families.clip import PROOF, TEXT_SIDE, common_rules, read_common, write_common
from sightline.families.config import Config
from sightline.families.family import TowerFamily
from sightline.spec.resolution import FixedSpec, PixelSpec
from sightline.spec.rules import Drop, Rule
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = CLIP_DEFAULTS | {
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
HALF = (0.5, 0.5, 0.5)


def read(config: Config) -> VitSpec:
    config.maybe("vision_use_head", bool)
    return VitSpec(**read_common(config), post_norm="applied")


def write(spec: VitSpec) -> dict[str, Any]:
    return {
        "model_type": "siglip_vision_model",
        **write_common(spec),
        "vision_use_head": False,
    }


def rules(spec: VitSpec) -> tuple[Rule, ...]:
    del spec
    return (*common_rules(), Drop("head.{any}", "pools the tokens into one vector, unused here"))


def views(size: int) -> FixedSpec:
    """SiglipImageProcessor: squash, bicubic, to -1..1."""
    return FixedSpec(size=size, fit="squash", pixels=PixelSpec(mean=HALF, std=HALF))


SIGLIP = TowerFamily(
    name="siglip",
    model_types=("siglip_vision_model",),
    whole_types=("siglip",),
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embeddings.patch_embedding.weight",
    roots=("vision_model.", ""),
    views=views,
    whole=(
        Drop("text_model.{any}", TEXT_SIDE),
        Drop("logit_scale", TEXT_SIDE),
        Drop("logit_bias", TEXT_SIDE),
    ),
    write=write,
    proof=PROOF,
)
