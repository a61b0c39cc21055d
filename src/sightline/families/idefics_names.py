"""Names of IDEFICS's tensors."""

from __future__ import annotations

from collections.abc import Callable

from sightline.families import llama
from sightline.spec.fusion import CrossAttentionSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.rules import Drop, Rename, Reshape, Rule, Split, under

CROSS = {
    "norm1.{p}": "input_layernorm.{p}",
    "norm2.{p}": "post_attention_layernorm.{p}",
    **{f"attn.{n}.{{p}}": f"cross_attn.{n}_proj.{{p}}" for n in "qkv"},
    "attn.out.{p}": "cross_attn.o_proj.{p}",
    **{f"attn.{n}_norm.{{p}}": f"cross_attn.{n}_layer_norm.{{p}}" for n in "qk"},
    **{f"mlp.{n}.{{p}}": f"mlp.{n}_proj.{{p}}" for n in ("gate", "up", "down")},
}
ALPHAS = {"attn_gate": "alpha_cross_attn", "mlp_gate": "alpha_dense"}
RESAMPLER_BLOCK = {
    "context_norm.{p}": "0.context_layer_norm.{p}",
    "latent_norm.{p}": "0.latents_layer_norm.{p}",
    **{f"{n}.{{p}}": f"0.{n}_proj.{{p}}" for n in "qkv"},
    "out.{p}": "0.output_proj.{p}",
    **{f"{n}_norm.{{p}}": f"0.{n}_layer_norm.{{p}}" for n in "qk"},
    "mlp_norm.{p}": "1.ln.{p}",
    "mlp.up.{p}": "1.fc.{p}",
    "mlp.down.{p}": "1.c_proj.{p}",
}
COMPUTED = "rotary frequencies are computed"


def decoder_names(extra: int) -> Callable[[DecoderSpec, str, str], tuple[Rule, ...]]:
    """Llama's rules; `extra` rows of embedding and head are stored beside the others."""

    def rules(spec: DecoderSpec, body: str, head: str) -> tuple[Rule, ...]:
        return tuple(
            _split(rule, spec.vocab - extra, extra) for rule in llama.rules(spec, body, head)
        )

    return rules


def _split(rule: Rule, rows: int, extra: int) -> Rule:
    if not extra or not isinstance(rule, Rename):
        return rule
    match rule.ours:
        case "language.embed.weight":
            beside = rule.disk.removesuffix("weight") + "additional_embedding.weight"
            return Split((rule.disk, beside), rule.ours, (rows, extra))
        case "language.head.{p}":
            root = rule.disk.removesuffix("{p}")
            names = (f"{root}weight", f"{root}additional_fc.weight")
            return Split(names, "language.head.weight", (rows, extra))
        case _:
            return rule


def cross_rules(fusion: CrossAttentionSpec) -> tuple[Rule, ...]:
    """The gated layers, which are numbered by themselves on disk."""
    own: list[Rule] = [Rename(disk, ours) for ours, disk in CROSS.items()]
    for ours, disk in ALPHAS.items():
        own.append(Reshape(disk, ours, 2) if fusion.gate == "vector" else Rename(disk, ours))
    each = (
        under(
            own,
            disk=f"model.gated_cross_attn_layers.{number}.",
            ours=f"language.blocks.{layer}.cross.",
        )
        for number, layer in enumerate(fusion.layers)
    )
    unused = Drop("model.gated_cross_attn_layers.{i}.cross_attn.rotary_emb.inv_freq", COMPUTED)
    return (*(rule for rules in each for rule in rules), unused)


def resampler_rules() -> tuple[Rule, ...]:
    block = [Rename(disk, ours) for ours, disk in RESAMPLER_BLOCK.items()]
    whole = (
        Rename("latents", "latents"),
        Rename("layer_norm.{p}", "norm.{p}"),
        *under(block, disk="blocks.{i}.", ours="blocks.{i}."),
    )
    return under(whole, disk="model.perceiver_resampler.", ours="connector.")
