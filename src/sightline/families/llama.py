"""Llama 1, 2 and 3, Vicuna, SmolLM2 (model_type llama) and Yi: one decoder, two spellings.

Source: transformers 5.23.0 models/llama; 01-ai/Yi's first release names the norms ln1 and ln2.
"""

from __future__ import annotations

from typing import Any, Literal

from sightline.families.config import Config
from sightline.families.family import TextFamily, activation, activation_name
from sightline.families.rope import read_rope, write_rope
from sightline.spec.language import AttentionSpec, DecoderSpec, MlpBlockSpec
from sightline.spec.layers import RmsNormSpec
from sightline.spec.rules import Drop, Rename, Rule, under

DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
PROOF = "tests/parity/test_language.py: logits and 32 greedy tokens of transformers 5.23.0"
ROOTS = (("model.", "lm_head."), ("", "lm_head."))


def read(config: Config) -> DecoderSpec:
    bias = config.take("attention_bias", bool)
    config.expect("rope_interleaved", False, None, why="pairs are halves of a head here")
    return gated_decoder(
        config,
        attention=read_attention(config, qkv_bias=bias, out_bias=bias),
        mlp_bias=config.take("mlp_bias", bool),
    )


def read_attention(
    config: Config,
    *,
    qkv_bias: bool = False,
    out_bias: bool = False,
    qk_norm: Literal["none", "rms"] = "none",
    windows: tuple[int | None, tuple[int, ...] | None] = (None, None),
) -> AttentionSpec:
    """Heads by the keys that Llama and its descendants share; `windows` is (window, layers)."""
    heads = config.take("num_attention_heads", int)
    return AttentionSpec(
        heads=heads,
        kv_heads=config.take("num_key_value_heads", int, heads),
        head_dim=config.take("head_dim", int, config.take("hidden_size", int) // heads),
        qkv_bias=qkv_bias,
        out_bias=out_bias,
        qk_norm=qk_norm,
        window=windows[0],
        windowed_layers=windows[1],
    )


def gated_decoder(
    config: Config, *, attention: AttentionSpec, mlp_bias: bool = False, act: str = "hidden_act"
) -> DecoderSpec:
    """RMSNorm before attention and before a gated MLP, by the keys of Llama's config."""
    context = config.take("max_position_embeddings", int)
    return DecoderSpec(
        vocab=config.take("vocab_size", int),
        width=config.take("hidden_size", int),
        depth=config.take("num_hidden_layers", int),
        context=context,
        attention=attention,
        mlp=MlpBlockSpec(
            width=config.take("intermediate_size", int),
            activation=activation(config, act),
            bias=mlp_bias,
        ),
        norm=RmsNormSpec(eps=config.take("rms_norm_eps", float)),
        positions=read_rope(config, context=context),
        tied_head=config.take("tie_word_embeddings", bool),
    )


def rules(spec: DecoderSpec, body: str = "model.", head: str = "lm_head.") -> tuple[Rule, ...]:
    return gated_rules(spec, body, head, norms=("input_layernorm", "post_attention_layernorm"))


def yi_rules(spec: DecoderSpec, body: str = "model.", head: str = "lm_head.") -> tuple[Rule, ...]:
    return gated_rules(spec, body, head, norms=("ln1", "ln2"))


def gated_rules(
    spec: DecoderSpec, body: str, head: str, *, norms: tuple[str, str]
) -> tuple[Rule, ...]:
    """Names of Llama and its descendants; `norms` come before attention and before the MLP."""
    theirs = {"norm1": norms[0], "norm2": norms[1]}
    theirs |= {f"attn.{n}": f"self_attn.{n}_proj" for n in "qkv"} | {"attn.out": "self_attn.o_proj"}
    theirs |= {f"mlp.{n}": f"mlp.{n}_proj" for n in ("gate", "up", "down")}
    if spec.attention.qk_norm != "none":
        theirs |= {f"attn.{n}_norm": f"self_attn.{n}_norm" for n in "qk"}
    block = [Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in theirs.items()]
    stack = (
        Rename("embed_tokens.weight", "embed.weight"),
        *under(block, disk="layers.{i}.", ours="blocks.{i}."),
        Rename("norm.{p}", "norm.{p}"),
        Drop("layers.{i}.self_attn.rotary_emb.inv_freq", "rotary frequencies are computed"),
        Drop("rotary_emb.inv_freq", "rotary frequencies are computed"),
    )
    return (*under(stack, disk=body, ours="language."), *head_rules(spec, head))


def head_rules(spec: DecoderSpec, head: str) -> tuple[Rule, ...]:
    """The output matrix, or why a stored copy of the embedding is not read."""
    if not spec.tied_head:
        return (Rename(f"{head}{{p}}", "language.head.{p}"),)
    return (Drop(f"{head}weight", "equal to the embedding, which is used in its place"),)


def write(spec: DecoderSpec) -> dict[str, Any]:
    return {
        "model_type": "llama",
        **write_gated(spec),
        "attention_bias": spec.attention.qkv_bias,
        "mlp_bias": spec.mlp.bias,
    }


def write_gated(spec: DecoderSpec) -> dict[str, Any]:
    """The keys that Llama and its descendants share."""
    return {
        "vocab_size": spec.vocab,
        "hidden_size": spec.width,
        "intermediate_size": spec.mlp.width,
        "num_hidden_layers": spec.depth,
        "num_attention_heads": spec.attention.heads,
        "num_key_value_heads": spec.attention.kv_heads,
        "head_dim": spec.attention.head_dim,
        "hidden_act": activation_name(spec.mlp.activation),
        "max_position_embeddings": spec.context,
        "rms_norm_eps": spec.norm.eps,
        "tie_word_embeddings": spec.tied_head,
        **write_rope(spec.positions),
    }


LLAMA = TextFamily(
    name="llama",
    model_types=("llama",),
    architecture="LlamaForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    write=write,
    proof=PROOF,
    harmless=("is_llama_config",),
)

YI = TextFamily(
    name="yi",
    model_types=("Yi",),
    architecture="YiForCausalLM",
    defaults=DEFAULTS | {"vocab_size": 64000, "max_position_embeddings": 4096},
    read=read,
    rules=yi_rules,
    anchor="embed_tokens.weight",
    roots=ROOTS,
    proof=f"{PROOF}, names changed to ln1 and ln2",
)
