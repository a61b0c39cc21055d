"""Gemma 2: sandwich norms, soft caps on scores and logits, a window in every other layer.

Source: transformers 5.23.0 models/gemma2, whose eager attention alone applies the soft cap.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import TextFamily
from sightline.families.gemma import scaled_decoder
from sightline.families.llama import PROOF, ROOTS, gated_decoder, head_rules, read_attention
from sightline.families.llama import write_gated as write_llama
from sightline.spec.language import AttentionSpec, DecoderSpec
from sightline.spec.rules import Drop, Rename, Rule, under

DEFAULTS: dict[str, Any] = {
    "vocab_size": 256000,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
FULL, SLIDING = "full_attention", "sliding_attention"
BLOCK = {
    "norm1": "input_layernorm",
    "post_norm1": "post_attention_layernorm",
    "norm2": "pre_feedforward_layernorm",
    "post_norm2": "post_feedforward_layernorm",
    **{f"attn.{n}": f"self_attn.{n}_proj" for n in "qkv"},
    "attn.out": "self_attn.o_proj",
    **{f"mlp.{n}": f"mlp.{n}_proj" for n in ("gate", "up", "down")},
}


def read(config: Config) -> DecoderSpec:
    """A soft cap of null in config.json is none, not the default."""
    cap = config.maybe("attn_logit_softcapping", float)
    attention = read_sandwich_attention(config, period=2, soft_cap=cap)
    return scaled_decoder(
        gated_decoder(config, attention=attention, act="hidden_activation"),
        block="sandwich",
        logit_soft_cap=config.maybe("final_logit_softcapping", float),
    )


def read_sandwich_attention(config: Config, *, period: int, **changes: Any) -> AttentionSpec:
    """What Gemma 2 and 3 share; where layers are not named, every `period`-th has no window."""
    config.expect("use_bidirectional_attention", None, False, why="attention is causal here")
    config.expect("hidden_act", config.data["hidden_activation"], why="hidden_activation counts")
    config.expect("cache_implementation", "hybrid", None, why="it is not known")
    bias = config.take("attention_bias", bool)
    window, layers = read_windows(config, period)
    config.expect("sliding_window_size", window, None, why="sliding_window counts")
    scalar = config.take("query_pre_attn_scalar", float)
    plain = read_attention(config, qkv_bias=bias, out_bias=bias, windows=(window, layers))
    return AttentionSpec.parse(plain.model_dump() | {"scale": scalar**-0.5} | changes)


def read_windows(config: Config, period: int) -> tuple[int | None, tuple[int, ...] | None]:
    """Window and the layers that have it."""
    depth, window = config.take("num_hidden_layers", int), config.maybe("sliding_window", int)
    kinds = config.maybe("layer_types", list)
    if kinds is None:
        kinds = [FULL if (layer + 1) % period == 0 else SLIDING for layer in range(depth)]
    if len(kinds) != depth or not {*kinds} <= {FULL, SLIDING}:
        raise FamilyError(
            config.name("layer_types"),
            f"is {kinds!r:.80} for {depth} layers",
            f"give {FULL} or {SLIDING} for every layer",
        )
    layers = tuple(i for i, kind in enumerate(kinds) if kind == SLIDING)
    return (window, layers) if window and layers else (None, None)


def rules(spec: DecoderSpec, body: str = "model.", head: str = "lm_head.") -> tuple[Rule, ...]:
    """Llama's names, with a norm on both sides of attention and of the MLP."""
    theirs = BLOCK
    if spec.attention.qk_norm != "none":
        theirs = theirs | {f"attn.{n}_norm": f"self_attn.{n}_norm" for n in "qk"}
    block = [Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in theirs.items()]
    stack = (
        Rename("embed_tokens.weight", "embed.weight"),
        *under(block, disk="layers.{i}.", ours="blocks.{i}."),
        Rename("norm.{p}", "norm.{p}"),
        Drop("layers.{i}.self_attn.rotary_emb.inv_freq", "rotary frequencies are computed"),
    )
    return (*under(stack, disk=body, ours="language."), *head_rules(spec, head))


def write_sandwich(spec: DecoderSpec) -> dict[str, Any]:
    """The keys that Gemma 2 and 3 share."""
    config, a = write_llama(spec), spec.attention
    windowed = [a.window_of(layer) is not None for layer in range(spec.depth)]
    scalar = round(spec.attention_scale**-2, 6)
    return {
        **config,
        "hidden_activation": config["hidden_act"],
        "attention_bias": a.qkv_bias,
        "query_pre_attn_scalar": int(scalar) if scalar.is_integer() else scalar,
        "sliding_window": a.window,
        "layer_types": [SLIDING if inside else FULL for inside in windowed],
        "final_logit_softcapping": spec.logit_soft_cap,
    }


def write(spec: DecoderSpec) -> dict[str, Any]:
    caps = {"attn_logit_softcapping": spec.attention.soft_cap}
    return {"model_type": "gemma2", **write_sandwich(spec), **caps}


GEMMA2 = TextFamily(
    name="gemma2",
    model_types=("gemma2",),
    architecture="Gemma2ForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    write=write,
    proof=PROOF,
)
