"""Gemma 1: Llama's names, norms times 1 + w in float32, embeddings times sqrt(width).

Source: transformers 5.23.0 models/gemma.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import TextFamily
from sightline.families.llama import (
    PROOF,
    ROOTS,
    gated_decoder,
    read_attention,
    rules,
    write_gated,
)
from sightline.spec.language import DecoderSpec
from sightline.spec.layers import RmsNormSpec

DEFAULTS: dict[str, Any] = {
    "vocab_size": 256000,
    "hidden_size": 3072,
    "intermediate_size": 24576,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


def read(config: Config) -> DecoderSpec:
    """Gemma's first release wrote "gelu" and meant the tanh form."""
    config.expect("use_bidirectional_attention", None, False, why="attention is causal here")
    bias = config.take("attention_bias", bool)
    if config.data.get("hidden_act") == "gelu":
        config.data["hidden_act"] = "gelu_pytorch_tanh"
    act = "hidden_activation" if "hidden_activation" in config else "hidden_act"
    for key in ("hidden_act", "hidden_activation"):
        config.maybe(key, str)
    attention = read_attention(config, qkv_bias=bias, out_bias=bias)
    return scaled_decoder(gated_decoder(config, attention=attention, act=act))


def scaled_decoder(plain: DecoderSpec, **changes: object) -> DecoderSpec:
    """Norms times 1 + w and embeddings times sqrt(width), which all Gemmas have."""
    own = {
        "norm": RmsNormSpec(eps=plain.norm.eps, unit_offset=True),
        "embedding_scale": plain.width**0.5,
    }
    return DecoderSpec.parse(plain.model_dump() | own | changes)


def write(spec: DecoderSpec) -> dict[str, Any]:
    return {
        "model_type": "gemma",
        **write_gated(spec),
        "attention_bias": spec.attention.qkv_bias,
    }


GEMMA = TextFamily(
    name="gemma",
    model_types=("gemma",),
    architecture="GemmaForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    write=write,
    proof=PROOF,
)
