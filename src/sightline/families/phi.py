"""Phi-1, 1.5 and 2: one LayerNorm feeds attention and MLP in parallel; biases everywhere.

Source: transformers 5.23.0 models/phi.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import TextFamily, activation, activation_name
from sightline.families.llama import PROOF, read_attention
from sightline.families.rope import read_rope, write_rope
from sightline.spec.language import DecoderSpec, MlpBlockSpec, RopeSpec
from sightline.spec.layers import LayerNormSpec
from sightline.spec.rules import Drop, Rename, Rule, under

DEFAULTS: dict[str, Any] = {
    "vocab_size": 51200,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "hidden_act": "gelu_new",
    "max_position_embeddings": 2048,
    "layer_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}


def read(config: Config) -> DecoderSpec:
    config.expect("qk_layernorm", False, why="LayerNorm on queries and keys is not built")
    context = config.take("max_position_embeddings", int)
    return DecoderSpec(
        vocab=config.take("vocab_size", int),
        width=config.take("hidden_size", int),
        depth=config.take("num_hidden_layers", int),
        context=context,
        attention=read_attention(config, qkv_bias=True, out_bias=True),
        mlp=MlpBlockSpec(
            kind="plain",
            width=config.take("intermediate_size", int),
            activation=activation(config, "hidden_act"),
            bias=True,
        ),
        norm=LayerNormSpec(eps=config.take("layer_norm_eps", float)),
        block="parallel",
        positions=read_rope(config, context=context, fraction=0.5),
        tied_head=config.take("tie_word_embeddings", bool),
        head_bias=True,
    )


def rules(spec: DecoderSpec, body: str = "model.", head: str = "lm_head.") -> tuple[Rule, ...]:
    theirs = {"norm1": "input_layernorm", "attn.out": "self_attn.dense"}
    theirs |= {f"attn.{n}": f"self_attn.{n}_proj" for n in "qkv"}
    theirs |= {"mlp.up": "mlp.fc1", "mlp.down": "mlp.fc2"}
    block = [Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in theirs.items()]
    stack = (
        Rename("embed_tokens.weight", "embed.weight"),
        *under(block, disk="layers.{i}.", ours="blocks.{i}."),
        Rename("final_layernorm.{p}", "norm.{p}"),
        Drop("layers.{i}.self_attn.rotary_emb.inv_freq", "rotary frequencies are computed"),
    )
    weight: Rule = Rename(f"{head}weight", "language.head.weight")
    if spec.tied_head:
        weight = Drop(f"{head}weight", "equal to the embedding, which is used in its place")
    bias = Rename(f"{head}bias", "language.head.bias")
    return (*under(stack, disk=body, ours="language."), weight, bias)


def write(spec: DecoderSpec) -> dict[str, Any]:
    return {
        "model_type": "phi",
        "vocab_size": spec.vocab,
        "hidden_size": spec.width,
        "intermediate_size": spec.mlp.width,
        "num_hidden_layers": spec.depth,
        "num_attention_heads": spec.attention.heads,
        "num_key_value_heads": spec.attention.kv_heads,
        "hidden_act": activation_name(spec.mlp.activation),
        "max_position_embeddings": spec.context,
        "layer_norm_eps": spec.norm.eps,
        "tie_word_embeddings": spec.tied_head,
        **_partial(spec),
    }


def _partial(spec: DecoderSpec) -> dict[str, Any]:
    """The factor must be stated even where it is 1: the class's own default is 0.5."""
    if not isinstance(spec.positions, RopeSpec):
        return {}
    rope = write_rope(spec.positions)
    rope["partial_rotary_factor"] = spec.positions.fraction
    rope["rope_parameters"]["partial_rotary_factor"] = spec.positions.fraction
    return rope


PHI = TextFamily(
    name="phi",
    model_types=("phi",),
    architecture="PhiForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="embed_tokens.weight",
    roots=(("model.", "lm_head."),),
    write=write,
    proof=PROOF,
)
