"""Mistral: Llama's decoder whose tokens see a sliding window.

Source: transformers 5.23.0 models/mistral.
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

DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_act": "silu",
    "max_position_embeddings": 4096 * 32,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
    "sliding_window": 4096,
}


def read(config: Config) -> DecoderSpec:
    window = config.maybe("sliding_window", int)
    return gated_decoder(config, attention=read_attention(config, windows=(window, None)))


def write(spec: DecoderSpec) -> dict[str, Any]:
    return {
        "model_type": "mistral",
        **write_gated(spec),
        "sliding_window": spec.attention.window,
    }


MISTRAL = TextFamily(
    name="mistral",
    model_types=("mistral",),
    architecture="MistralForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    write=write,
    proof=PROOF,
)
