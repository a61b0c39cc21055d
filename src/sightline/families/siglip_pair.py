"""Both towers of SigLIP (Zhai et al. 2023): SiglipModel of transformers 5.23.0.

The config's bos, eos and pad ids are CLIP's and wrong; the tokenizer's count, 1 and 1 without one.
SigLIP 2 of fixed size has the same model and Gemma's tokenizer.
"""

from __future__ import annotations

from typing import Any, Literal

from sightline.core.errors import FamilyError
from sightline.families.clip import common_rules, write_common
from sightline.families.pair_family import (
    PairConfig,
    PairFamily,
    read_stack,
    stack_rules,
    write_stack,
)
from sightline.families.siglip import SIGLIP
from sightline.spec.pair import AttentionPoolSpec, PairSpec, SigmoidLossSpec, TextEncoderSpec
from sightline.spec.rules import Fuse, Rename, Reshape, Rule, under

TEXT: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 64,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
END = 1  # </s>, which also pads


def read(config: PairConfig) -> PairSpec:
    stack, vision, tokens = read_stack(config.text), config.vision, config.tokens
    width = config.text.take("projection_size", int, stack.width)
    if width != vision.width:
        raise FamilyError(
            config.text.name("projection_size"),
            f"{width} is not the {vision.width} channels of the vision tower",
            "mend config.json",
        )
    eos_id, pad_id = tokens.id_of(tokens.eos), tokens.id_of(tokens.pad)
    return PairSpec(
        resolution=config.views,
        vision=vision,
        image_pool=AttentionPoolSpec(
            heads=vision.heads,
            mlp_width=vision.mlp_width,
            activation=vision.activation,
            norm_eps=vision.norm_eps,
        ),
        image_projection="none",
        text=TextEncoderSpec(
            stack=stack,
            mask="bidirectional",
            pool="last",
            padding="context",
            eos_id=END if eos_id is None else eos_id,
            pad_id=END if pad_id is None else pad_id,
            cleaning=_cleaning(tokens.kind),
        ),
        text_projection="affine",
        width=width,
        loss=SigmoidLossSpec(),
    )


def _cleaning(tokenizer: str | None) -> Literal["lower", "canonical"]:
    """SigLIP's own tokenizer removes punctuation; SigLIP 2 lowers Gemma's input."""
    kind = (tokenizer or "SiglipTokenizer").removesuffix("Fast")
    return "canonical" if kind == "SiglipTokenizer" else "lower"


def pair_rules(spec: PairSpec) -> tuple[Rule, ...]:
    rows = (spec.vision.width,) * 3
    head: tuple[Rule, ...] = (
        Reshape("probe", "probe", 2),
        *(
            Fuse(f"attention.in_proj_{p}", tuple(f"{n}.{p}" for n in "qkv"), rows)
            for p in ("weight", "bias")
        ),
        Rename("attention.out_proj.{p}", "out.{p}"),
        Rename("layernorm.{p}", "norm.{p}"),
        Rename("mlp.fc1.{p}", "mlp.up.{p}"),
        Rename("mlp.fc2.{p}", "mlp.down.{p}"),
    )
    return (
        *under(common_rules(), disk="vision_model."),
        *under(head, disk="vision_model.head.", ours="connector.pool."),
        *stack_rules(),
        Rename("text_model.head.{p}", "connector.text.{p}"),
        Rename("logit_scale", "connector.log_scale"),
        Rename("logit_bias", "connector.bias"),
    )


def write(spec: PairSpec) -> dict[str, Any]:
    return {
        "model_type": "siglip",
        "vision_config": {"model_type": "siglip_vision_model", **write_common(spec.vision)},
        "text_config": {
            "model_type": "siglip_text_model",
            "projection_size": spec.width,
            **write_stack(spec.text.stack),
        },
    }


SIGLIP_PAIR = PairFamily(
    name="siglip",
    model_types=("siglip",),
    tower=SIGLIP,
    top={},
    text=TEXT,
    read=read,
    rules=pair_rules,
    write=write,
    architecture="SiglipModel",
    image_processor="SiglipImageProcessor",
    proof="tests/parity/test_pairs.py: embeddings and logits of transformers 5.23.0",
)
