"""Gemma 3's text model: norms of queries and keys, five windowed layers to one, two rotations.

Source: transformers 5.23.0 models/gemma3, which applies no soft cap to scores.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import TextFamily
from sightline.families.gemma import scaled_decoder
from sightline.families.gemma2 import DEFAULTS as GEMMA2_DEFAULTS
from sightline.families.gemma2 import FULL, SLIDING, read_sandwich_attention, rules, write_sandwich
from sightline.families.llama import PROOF, ROOTS, gated_decoder
from sightline.families.rope import read_rope, write_rope
from sightline.spec.language import DecoderSpec, RopeSpec

DEFAULTS: dict[str, Any] = GEMMA2_DEFAULTS | {
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
    "final_logit_softcapping": None,
    "attn_logit_softcapping": None,
}
THETA, LOCAL_THETA, PERIOD = 1e6, 1e4, 6


def read(config: Config) -> DecoderSpec:
    config.expect("attn_logit_softcapping", None, why="the reference does not apply it")
    local = _local_rope(config)
    period = config.take("sliding_window_pattern", int, PERIOD)
    attention = read_sandwich_attention(config, period=period, qk_norm="rms")
    return scaled_decoder(
        gated_decoder(config, attention=attention, act="hidden_activation"),
        block="sandwich",
        windowed_positions=local if attention.window else None,
        logit_soft_cap=config.maybe("final_logit_softcapping", float),
    )


def _local_rope(config: Config) -> RopeSpec:
    """The rotation of windowed layers; leaves that of the others where all families have it.

    5.x states both by the kind of layer, 4.x states `rope_local_base_freq` besides the global one.
    """
    theta = {"rope_theta": config.take("rope_local_base_freq", float, LOCAL_THETA)}
    config.data["rope_theta"] = config.take("rope_theta", float, THETA)
    both = config.data.get("rope_parameters") or {}
    if FULL in both or SLIDING in both:
        config.data["rope_parameters"] = both.get(FULL)
    local = Config(
        {"rope_parameters": both.get(SLIDING)} | theta, where=config.name("rope_parameters")
    )
    return read_rope(local, context=config.take("max_position_embeddings", int))


def write(spec: DecoderSpec) -> dict[str, Any]:
    """In the 4.x dialect, which both read: 5.x would not find the global rotation beside a local
    one of its own spelling."""
    config = write_sandwich(spec)
    config.pop("rope_parameters", None)
    local = spec.windowed_positions or RopeSpec()
    return {
        "model_type": "gemma3_text",
        **config,
        "rope_local_base_freq": write_rope(local)["rope_theta"],
        "attn_logit_softcapping": spec.attention.soft_cap,
    }


GEMMA3_TEXT = TextFamily(
    name="gemma3_text",
    model_types=("gemma3_text",),
    architecture="Gemma3ForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    write=write,
    proof=PROOF,
    harmless=("_sliding_window_pattern",),
)
