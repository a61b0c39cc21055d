"""Qwen2, Qwen2.5 and Qwen3 (and what Qwen1 shares with them: see qwen1.py).

Source: transformers 5.23.0 models/qwen2 and models/qwen3.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
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
    "vocab_size": 151936,
    "hidden_size": 4096,
    "intermediate_size": 22016,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
QWEN3_DEFAULTS = DEFAULTS | {"head_dim": 128, "attention_bias": False}
FULL, SLIDING = "full_attention", "sliding_attention"


def read_qwen2(config: Config) -> DecoderSpec:
    config.expect("use_mrope", False, None, why="positions have one axis here")
    attention = read_attention(config, qkv_bias=True, windows=read_windows(config))
    return gated_decoder(config, attention=attention)


def read_qwen3(config: Config) -> DecoderSpec:
    bias = config.take("attention_bias", bool)
    attention = read_attention(
        config, qkv_bias=bias, out_bias=bias, qk_norm="rms", windows=read_windows(config)
    )
    return gated_decoder(config, attention=attention)


def read_windows(config: Config) -> tuple[int | None, tuple[int, ...] | None]:
    """Window and the layers that have it: stated by `layer_types`, else those from
    `max_window_layers` on, and only if `use_sliding_window`."""
    depth, first = config.take("num_hidden_layers", int), config.take("max_window_layers", int)
    used, window = config.take("use_sliding_window", bool), config.maybe("sliding_window", int)
    kinds = config.maybe("layer_types", list)
    if kinds is None:
        kinds = [SLIDING if layer >= first else FULL for layer in range(depth)]
    if len(kinds) != depth or not {*kinds} <= {FULL, SLIDING}:
        raise FamilyError(
            config.name("layer_types"),
            f"is {kinds!r:.80} for {depth} layers",
            f"give {FULL} or {SLIDING} for every layer",
        )
    layers = tuple(i for i, kind in enumerate(kinds) if kind == SLIDING)
    if not used or window is None or not layers:
        return None, None
    return window, (None if len(layers) == depth else layers)


def _write(spec: DecoderSpec, model_type: str) -> dict[str, Any]:
    window = spec.attention.window
    windowed = [spec.attention.window_of(layer) is not None for layer in range(spec.depth)]
    return {
        "model_type": model_type,
        **write_gated(spec),
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "max_window_layers": windowed.index(True) if any(windowed) else spec.depth,
        "layer_types": [SLIDING if inside else FULL for inside in windowed],
    }


def write_qwen2(spec: DecoderSpec) -> dict[str, Any]:
    return _write(spec, "qwen2")


def write_qwen3(spec: DecoderSpec) -> dict[str, Any]:
    return _write(spec, "qwen3") | {"attention_bias": spec.attention.qkv_bias}


QWEN2 = TextFamily(
    name="qwen2",
    model_types=("qwen2",),
    architecture="Qwen2ForCausalLM",
    defaults=DEFAULTS,
    read=read_qwen2,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    write=write_qwen2,
    proof=PROOF,
)

QWEN3 = TextFamily(
    name="qwen3",
    model_types=("qwen3",),
    architecture="Qwen3ForCausalLM",
    defaults=QWEN3_DEFAULTS,
    read=read_qwen3,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    write=write_qwen3,
    proof=PROOF,
)
