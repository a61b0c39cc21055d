"""Qwen 1 (Qwen-7B, remote code on the hub): Qwen2's arithmetic under GPT-2's names.

Source: QwenLM/Qwen modeling_qwen.py (recalled): `c_attn` is q, k and v in plain thirds; the MLP is
w1 x · silu(w2 x), so w2 is the gate, and `intermediate_size` counts both.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import TextFamily
from sightline.families.llama import PROOF, head_rules
from sightline.spec.language import AttentionSpec, DecoderSpec, MlpBlockSpec, RopeSpec
from sightline.spec.layers import RmsNormSpec
from sightline.spec.rules import Drop, Fuse, Rename, Rule, under

DEFAULTS: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "layer_norm_epsilon": 1e-6,
    "kv_channels": 128,
    "rotary_pct": 1.0,
    "rotary_emb_base": 10000,
    "seq_length": 8192,
    "intermediate_size": 22016,
    "no_bias": True,
    "tie_word_embeddings": False,
}
HARMLESS = (
    "attn_dropout_prob bf16 emb_dropout_prob fp16 fp32 max_position_embeddings onnx_safe "
    "softmax_in_fp32 use_cache_kernel use_cache_quantization use_flash_attn use_dynamic_ntk "
    "use_logn_attn"
).split()


def read(config: Config) -> DecoderSpec:
    """`context` is `seq_length`: up to there neither dynamic NTK nor log-n attention act."""
    config.expect("no_bias", True, why="biases in the output projections are not Qwen's")
    config.expect("scale_attn_weights", True, why="attention is always scaled")
    heads, head_dim = config.take("num_attention_heads", int), config.take("kv_channels", int)
    inner, width = config.take("intermediate_size", int), config.take("hidden_size", int)
    if inner % 2 or heads * head_dim != width:
        raise FamilyError(
            config.name("intermediate_size" if inner % 2 else "kv_channels"),
            f"{inner} is odd" if inner % 2 else f"{heads} × {head_dim} is not {width}",
            "mend config.json",
        )
    return DecoderSpec(
        vocab=config.take("vocab_size", int),
        width=width,
        depth=config.take("num_hidden_layers", int),
        context=config.take("seq_length", int),
        attention=AttentionSpec(heads=heads, kv_heads=heads, head_dim=head_dim, qkv_bias=True),
        mlp=MlpBlockSpec(width=inner // 2, activation="silu"),
        norm=RmsNormSpec(eps=config.take("layer_norm_epsilon", float)),
        positions=RopeSpec(
            theta=config.take("rotary_emb_base", float),
            fraction=config.take("rotary_pct", float),
        ),
        tied_head=config.take("tie_word_embeddings", bool),
    )


def rules(
    spec: DecoderSpec, body: str = "transformer.", head: str = "lm_head."
) -> tuple[Rule, ...]:
    inner = spec.attention.heads * spec.attention.head_dim
    block = (
        Rename("ln_1.weight", "norm1.weight"),
        Rename("ln_2.weight", "norm2.weight"),
        Fuse("attn.c_attn.{p}", ("attn.q.{p}", "attn.k.{p}", "attn.v.{p}"), (inner,) * 3),
        Rename("attn.c_proj.weight", "attn.out.weight"),
        Rename("mlp.w2.weight", "mlp.gate.weight"),
        Rename("mlp.w1.weight", "mlp.up.weight"),
        Rename("mlp.c_proj.weight", "mlp.down.weight"),
        Drop("attn.rotary_emb.inv_freq", "rotary frequencies are computed"),
    )
    stack = (
        Rename("wte.weight", "embed.weight"),
        *under(block, disk="h.{i}.", ours="blocks.{i}."),
        Rename("ln_f.weight", "norm.weight"),
        Drop("rotary_emb.inv_freq", "rotary frequencies are computed"),
    )
    return (*under(stack, disk=body, ours="language."), *head_rules(spec, head))


QWEN1 = TextFamily(
    name="qwen",
    model_types=("qwen",),
    architecture="QWenLMHeadModel",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="wte.weight",
    roots=(("transformer.", "lm_head."),),
    proof=f"{PROOF} (Qwen2 without groups), weights fused and renamed",
    harmless=(*HARMLESS,),
)
