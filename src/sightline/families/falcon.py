"""Falcon 7B, 11B, 40B and 180B: LayerNorm, attention and MLP in parallel, q, k and v in one tensor.

Source: transformers 5.23.0 models/falcon. The rows of `query_key_value` are
| layout                                  | groups   | rows of a group |
|-----------------------------------------|----------|-----------------|
| 7B (multi_query)                        | 1        | all q, k, v     |
| 40B (new_decoder_architecture)          | kv heads | q … q, k, v     |
| neither                                 | heads    | q, k, v         |
"""

from __future__ import annotations

from typing import Any, Literal

from sightline.families.config import Config
from sightline.families.family import TextFamily, activation, activation_name
from sightline.families.llama import PROOF, head_rules
from sightline.families.rope import read_rope, write_rope
from sightline.spec.language import AttentionSpec, DecoderSpec, MlpBlockSpec
from sightline.spec.layers import LayerNormSpec
from sightline.spec.rules import Drop, Fuse, Rename, Rule, under

DEFAULTS: dict[str, Any] = {
    "vocab_size": 65024,
    "hidden_size": 4544,
    "num_hidden_layers": 32,
    "num_attention_heads": 71,
    "layer_norm_epsilon": 1e-5,
    "alibi": False,
    "new_decoder_architecture": False,
    "multi_query": True,
    "parallel_attn": True,
    "bias": False,
    "max_position_embeddings": 2048,
    "activation": "gelu",
    "tie_word_embeddings": True,
    "bos_token_id": 11,
    "eos_token_id": 11,
    "pad_token_id": None,
}
Block = Literal["sequential", "parallel", "parallel_two_norms"]
BLOCKS: dict[str, tuple[str, ...]] = {
    "sequential": ("input_layernorm", "post_attention_layernorm"),
    "parallel": ("input_layernorm",),
    "parallel_two_norms": ("ln_attn", "ln_mlp"),
}


def read(config: Config) -> DecoderSpec:
    config.expect("alibi", False, why="ALiBi positions are not built")
    config.expect(
        "apply_residual_connection_post_layernorm", False, why="residuals pass the norms by"
    )
    new, bias = config.take("new_decoder_architecture", bool), config.take("bias", bool)
    width = config.take("hidden_size", int)
    heads, kv_heads = config.take("num_attention_heads", int), _read_kv_heads(config, new)
    context = config.take("max_position_embeddings", int)
    return DecoderSpec(
        vocab=config.take("vocab_size", int),
        width=width,
        depth=config.take("num_hidden_layers", int),
        context=context,
        attention=AttentionSpec(
            heads=heads,
            kv_heads=kv_heads,
            head_dim=width // heads,
            qkv_bias=bias,
            out_bias=bias,
        ),
        mlp=MlpBlockSpec(
            kind="plain",
            width=config.take("ffn_hidden_size", int, 4 * width),
            activation=activation(config, "activation"),
            bias=bias,
        ),
        norm=LayerNormSpec(eps=config.take("layer_norm_epsilon", float)),
        block=_read_block(config, new),
        positions=read_rope(config, context=context),
        tied_head=config.take("tie_word_embeddings", bool),
    )


def _read_kv_heads(config: Config, new: bool) -> int:
    """Only the new architecture heeds `num_kv_heads`; the others have one, or one per head."""
    heads, one = config.take("num_attention_heads", int), config.take("multi_query", bool)
    stated = config.take("num_kv_heads", int, heads)
    return stated if new else 1 if one else heads


def _read_block(config: Config, new: bool) -> Block:
    norms = config.take("num_ln_in_parallel_attn", int, 2 if new else 1)
    parallel = config.take("parallel_attn", bool)
    if new and norms == 2:
        return "parallel_two_norms"
    return "parallel" if new or parallel else "sequential"


def rules(
    spec: DecoderSpec, body: str = "transformer.", head: str = "lm_head."
) -> tuple[Rule, ...]:
    norms = enumerate(BLOCKS[spec.block], start=1)
    block: tuple[Rule, ...] = (
        *(Rename(f"{disk}.{{p}}", f"norm{n}.{{p}}") for n, disk in norms),
        _fused(spec),
        Rename("self_attention.dense.{p}", "attn.out.{p}"),
        Rename("mlp.dense_h_to_4h.{p}", "mlp.up.{p}"),
        Rename("mlp.dense_4h_to_h.{p}", "mlp.down.{p}"),
        Drop("self_attention.rotary_emb.inv_freq", "rotary frequencies are computed"),
    )
    stack = (
        Rename("word_embeddings.weight", "embed.weight"),
        *under(block, disk="h.{i}.", ours="blocks.{i}."),
        Rename("ln_f.{p}", "norm.{p}"),
    )
    return (*under(stack, disk=body, ours="language."), *head_rules(spec, head))


def _fused(spec: DecoderSpec) -> Fuse:
    """One group per key-value head covers all three layouts."""
    a = spec.attention
    rows = (a.heads // a.kv_heads * a.head_dim, a.head_dim, a.head_dim)
    ours = ("attn.q.{p}", "attn.k.{p}", "attn.v.{p}")
    return Fuse("self_attention.query_key_value.{p}", ours, rows, groups=a.kv_heads)


def write(spec: DecoderSpec) -> dict[str, Any]:
    one_key = spec.attention.kv_heads == 1
    new = spec.block != "sequential" and not (one_key and spec.block == "parallel")
    return {
        "model_type": "falcon",
        "vocab_size": spec.vocab,
        "hidden_size": spec.width,
        "num_hidden_layers": spec.depth,
        "num_attention_heads": spec.attention.heads,
        "num_kv_heads": spec.attention.kv_heads,
        "layer_norm_epsilon": spec.norm.eps,
        "alibi": False,
        "new_decoder_architecture": new,
        "multi_query": one_key and not new,
        "parallel_attn": spec.block != "sequential",
        "num_ln_in_parallel_attn": 2 if spec.block == "parallel_two_norms" else 1,
        "bias": spec.attention.qkv_bias,
        "ffn_hidden_size": spec.mlp.width,
        "activation": activation_name(spec.mlp.activation),
        "max_position_embeddings": spec.context,
        "tie_word_embeddings": spec.tied_head,
        **write_rope(spec.positions),
    }


FALCON = TextFamily(
    name="falcon",
    model_types=("falcon",),
    architecture="FalconForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="word_embeddings.weight",
    roots=(("transformer.", "lm_head."), ("", "lm_head.")),
    write=write,
    proof=PROOF,
)
