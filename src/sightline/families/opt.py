"""OPT: learned positions, LayerNorm before attention and MLP, ReLU, biases everywhere.

Source: transformers 5.23.0 models/opt. OPT-350M is another architecture (norms after each branch,
embeddings narrower than the stack) and is refused.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import TextFamily, activation, activation_name
from sightline.families.llama import PROOF, head_rules
from sightline.spec.language import (
    AttentionSpec,
    DecoderSpec,
    LearnedPositionsSpec,
    MlpBlockSpec,
)
from sightline.spec.layers import LayerNormSpec
from sightline.spec.rules import Rename, Rule, under

DEFAULTS: dict[str, Any] = {
    "vocab_size": 50272,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "ffn_dim": 3072,
    "max_position_embeddings": 2048,
    "num_attention_heads": 12,
    "activation_function": "relu",
    "enable_bias": True,
    "tie_word_embeddings": True,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 2,
}
NARROW = "OPT-350M's arrangement is not built"
OFFSET = 2  # rows of the position table before that of the first token
BLOCK = {
    "norm1": "self_attn_layer_norm",
    "norm2": "final_layer_norm",
    **{f"attn.{n}": f"self_attn.{n}_proj" for n in "qkv"},
    "attn.out": "self_attn.out_proj",
    "mlp.up": "fc1",
    "mlp.down": "fc2",
}


def read(config: Config) -> DecoderSpec:
    width, heads = config.take("hidden_size", int), config.take("num_attention_heads", int)
    if width % heads:
        raise FamilyError(
            config.name("num_attention_heads"), f"{heads} does not divide {width}", "mend it"
        )
    config.expect("do_layer_norm_before", True, why=NARROW)
    config.expect("word_embed_proj_dim", width, None, why=NARROW)
    config.expect("_remove_final_layer_norm", False, why="the stack ends with a norm")
    config.expect("layer_norm_elementwise_affine", True, why="norms have weights")
    bias = config.take("enable_bias", bool)
    return DecoderSpec(
        vocab=config.take("vocab_size", int),
        width=width,
        depth=config.take("num_hidden_layers", int),
        context=config.take("max_position_embeddings", int),
        attention=AttentionSpec(
            heads=heads, kv_heads=heads, head_dim=width // heads, qkv_bias=bias, out_bias=bias
        ),
        mlp=MlpBlockSpec(
            kind="plain",
            width=config.take("ffn_dim", int),
            activation=activation(config, "activation_function"),
            bias=bias,
        ),
        norm=LayerNormSpec(eps=1e-5),
        positions=LearnedPositionsSpec(offset=OFFSET),
        tied_head=config.take("tie_word_embeddings", bool),
    )


def rules(
    spec: DecoderSpec, body: str = "model.decoder.", head: str = "lm_head."
) -> tuple[Rule, ...]:
    block = [Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in BLOCK.items()]
    stack = (
        Rename("embed_tokens.weight", "embed.weight"),
        Rename("embed_positions.weight", "positions.weight"),
        *under(block, disk="layers.{i}.", ours="blocks.{i}."),
        Rename("final_layer_norm.{p}", "norm.{p}"),
    )
    return (*under(stack, disk=body, ours="language."), *head_rules(spec, head))


def write(spec: DecoderSpec) -> dict[str, Any]:
    return {
        "model_type": "opt",
        "vocab_size": spec.vocab,
        "hidden_size": spec.width,
        "word_embed_proj_dim": spec.width,
        "num_hidden_layers": spec.depth,
        "ffn_dim": spec.mlp.width,
        "max_position_embeddings": spec.context,
        "num_attention_heads": spec.attention.heads,
        "activation_function": activation_name(spec.mlp.activation),
        "enable_bias": spec.mlp.bias,
        "do_layer_norm_before": True,
        "tie_word_embeddings": spec.tied_head,
    }


OPT = TextFamily(
    name="opt",
    model_types=("opt",),
    architecture="OPTForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=(("model.decoder.", "lm_head."), ("decoder.", "lm_head.")),
    write=write,
    proof=PROOF,
    harmless=("dropout", "init_std", "layerdrop"),
)
