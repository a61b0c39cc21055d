"""Both towers of CLIP (Radford et al. 2021): CLIPModel of transformers 5.23.0.

The first releases say `eos_token_id: 2`, which is wrong; the text is then read at its highest id,
which is the end token's, the last of the vocabulary.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from sightline.families.clip import CLIP, rules, write_common
from sightline.families.pair_family import (
    PairConfig,
    PairFamily,
    one_id,
    read_stack,
    stack_rules,
    write_stack,
)
from sightline.spec.pair import ClassTokenPoolSpec, PairSpec, SoftmaxLossSpec, TextEncoderSpec
from sightline.spec.rules import Rename, Reshape, Rule, under

TOP: dict[str, Any] = {"projection_dim": 512, "logit_scale_init_value": 2.6592}
TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
WRONG_EOS = 2


def read(config: PairConfig) -> PairSpec:
    stack = read_stack(config.text)
    bos_id, eos_id = one_id(config.text, "bos_token_id"), one_id(config.text, "eos_token_id")
    pool: Literal["end", "highest"] = "end"
    if eos_id == WRONG_EOS:
        bos_id, eos_id, pool = stack.vocab - 2, stack.vocab - 1, "highest"
    scale = math.exp(config.top.take("logit_scale_init_value", float))
    return PairSpec(
        resolution=config.views,
        vision=config.vision.model_copy(update={"post_norm": "applied"}),
        image_pool=ClassTokenPoolSpec(),
        text=TextEncoderSpec(stack=stack, pool=pool, bos_id=bos_id, eos_id=eos_id, pad_id=eos_id),
        width=config.top.take("projection_dim", int),
        loss=SoftmaxLossSpec(scale=scale),
    )


def pair_rules(spec: PairSpec) -> tuple[Rule, ...]:
    return (
        *under(rules(spec.vision), disk="vision_model."),
        *stack_rules(),
        Rename("visual_projection.weight", "connector.image.weight"),
        Rename("text_projection.weight", "connector.text.weight"),
        Reshape("logit_scale", "connector.log_scale", -1),
    )


def write(spec: PairSpec) -> dict[str, Any]:
    text = spec.text
    ids = {"bos_token_id": text.bos_id, "eos_token_id": text.eos_id, "pad_token_id": text.pad_id}
    if text.pool == "highest":
        ids = {"bos_token_id": 0, "eos_token_id": WRONG_EOS, "pad_token_id": 1}
    return {
        "model_type": "clip",
        "projection_dim": spec.width,
        "logit_scale_init_value": math.log(spec.loss.scale),
        "vision_config": {
            "model_type": "clip_vision_model",
            "projection_dim": spec.width,
            **write_common(spec.vision),
        },
        "text_config": {
            "model_type": "clip_text_model",
            "projection_dim": spec.width,
            **write_stack(text.stack),
            **ids,
        },
    }


CLIP_PAIR = PairFamily(
    name="clip",
    model_types=("clip",),
    tower=CLIP,
    top=TOP,
    text=TEXT,
    read=read,
    rules=pair_rules,
    write=write,
    architecture="CLIPModel",
    image_processor="CLIPImageProcessor",
    proof="tests/parity/test_pairs.py: embeddings and logits of transformers 5.23.0",
)
