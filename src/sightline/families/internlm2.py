"""InternLM2 (model_type internlm2): Llama's decoder under other names, q, k and v in one tensor.

Source: InternLM2's modeling_internlm2.py as OpenGVLab/InternVL ships it. The rows of `wqkv` are,
for each key-value head, its queries, then its key and its value; `w1` is the gate, `w3` the up and
`w2` the down matrix.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import TextFamily
from sightline.families.llama import gated_decoder, head_rules, read_attention
from sightline.spec.language import DecoderSpec
from sightline.spec.rules import Drop, Fuse, Rename, Rule, under

DEFAULTS: dict[str, Any] = {
    "vocab_size": 103168,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "bias": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
PROOF = "tests/parity/test_internlm2.py: a Llama of transformers 5.23.0, renamed and fused"


def read(config: Config) -> DecoderSpec:
    bias = config.take("bias", bool)
    config.expect(
        "rope_pos_id_version", "default", None, why="visual tokens take one whole position each"
    )
    return gated_decoder(config, attention=read_attention(config, qkv_bias=bias, out_bias=bias))


def rules(spec: DecoderSpec, body: str = "model.", head: str = "output.") -> tuple[Rule, ...]:
    names = {
        "norm1": "attention_norm",
        "attn.out": "attention.wo",
        "norm2": "ffn_norm",
        "mlp.gate": "feed_forward.w1",
        "mlp.up": "feed_forward.w3",
        "mlp.down": "feed_forward.w2",
    }
    block: tuple[Rule, ...] = (
        *(Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in names.items()),
        _fused(spec),
        Drop("attention.rotary_emb.inv_freq", "rotary frequencies are computed"),
    )
    stack = (
        Rename("tok_embeddings.weight", "embed.weight"),
        *under(block, disk="layers.{i}.", ours="blocks.{i}."),
        Rename("norm.{p}", "norm.{p}"),
    )
    return (*under(stack, disk=body, ours="language."), *head_rules(spec, head))


def _fused(spec: DecoderSpec) -> Fuse:
    a = spec.attention
    rows = (a.heads // a.kv_heads * a.head_dim, a.head_dim, a.head_dim)
    return Fuse(
        "attention.wqkv.{p}", ("attn.q.{p}", "attn.k.{p}", "attn.v.{p}"), rows, groups=a.kv_heads
    )


INTERNLM2 = TextFamily(
    name="internlm2",
    model_types=("internlm2",),
    architecture="InternLM2ForCausalLM",
    defaults=DEFAULTS,
    read=read,
    rules=rules,
    anchor="tok_embeddings.weight",
    roots=(("model.", "output."), ("", "output.")),
    proof=PROOF,
    harmless=("attn_implementation", "rope_pos_id_stride"),
)
