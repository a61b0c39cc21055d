"""CogVLM (remote code on the hub): EVA2-CLIP-E, a gated bridge, Vicuna with visual experts.

Source: THUDM/cogvlm-chat-hf modeling_cogvlm.py and visual.py. The tower is stored with 63 of its 64
blocks; q, k and v are plain thirds. Pictures stand after bos, between learned vectors; all patches
share one position. CogVLM2 (another tower and grouped keys) has other keys and is refused.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.blip_prompt import ASKED, COGVLM
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import activation, refusing
from sightline.families.files import Checkpoint
from sightline.families.llama import DEFAULTS, LLAMA, head_rules
from sightline.families.parts import read_decoder
from sightline.families.prompts import read_template, read_text_prompt
from sightline.families.tokens import read_tokens
from sightline.spec.connector import GluSpec
from sightline.spec.fusion import VisualExpertSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import ImageTokenSpec, JinjaTemplate, PromptSpec
from sightline.spec.resolution import FixedSpec, PixelSpec
from sightline.spec.rules import Drop, Fuse, Rename, Reshape, Rule, grow, under
from sightline.spec.vision import VitSpec

VISION: dict[str, Any] = {
    "hidden_act": "gelu",
    "hidden_size": 1792,
    "image_size": 490,
    "in_channels": 3,
    "intermediate_size": 15360,
    "layer_norm_eps": 1e-6,
    "num_heads": 16,
    "num_hidden_layers": 63,
    "num_positions": 1226,
    "patch_size": 14,
}
ENDS = ("boi", "eoi")
FACTS = FamilyFacts(
    name="cogvlm",
    part="model",
    model_types=("cogvlm",),
    covers="CogVLM, base and chat",
    proof="tests/parity/test_cogvlm.py: with equal experts transformers 5.23.0's Llama, else the "
    "published formulas written out",
    resolution=("fixed",),
    connector=("glu",),
    fusion=("visual_expert",),
    decoders=("llama",),
)


def unnamed_type(checkpoint: Checkpoint) -> str | None:
    """CogVLM's own config.json has no model_type, only the name of its class."""
    return {"CogVLMForCausalLM": "cogvlm"}.get((checkpoint.config.get("architectures") or [""])[0])


def read_cogvlm(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    with refusing("cogvlm"):
        vision = _vision(config.sub("vision_config", VISION))
    version = config.take("template_version", str, "chat")
    text, ignored = read_decoder(LLAMA, config)
    prompt = _prompt(checkpoint, text, version)
    rules = (*vision_rules(vision), *text_rules(text))
    if prompt.image.id >= text.vocab:
        rules = grow(rules, text.vocab, "language.embed.weight", "language.head.weight")
        text = text.model_copy(update={"vocab": prompt.image.id + 1})
    views = FixedSpec(size=vision.position_side, ends=ENDS, pixels=PixelSpec(backend="pillow"))
    return Declared(
        family="cogvlm",
        resolution=views,
        vision=vision,
        connector=GluSpec(hidden=text.mlp.width),
        fusion=VisualExpertSpec(positions="shared"),
        language=text,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
    )


def _vision(config: Config) -> VitSpec:
    config.expect("in_channels", 3, why="pictures have three channels")
    spec = VitSpec(
        width=config.take("hidden_size", int),
        depth=config.take("num_hidden_layers", int),
        heads=config.take("num_heads", int),
        mlp_width=config.take("intermediate_size", int),
        patch=config.side("patch_size"),
        image_size=config.side("image_size"),
        activation=activation(config, "hidden_act"),
        norm_eps=config.take("layer_norm_eps", float),
        norm_place="after",
        class_token="drop",
        post_norm="absent",
    )
    config.expect("num_positions", spec.position_rows, why="there is one for each patch and one")
    config.finish("cogvlm", ("dropout_prob",))
    return spec


def vision_rules(spec: VitSpec) -> tuple[Rule, ...]:
    """Encoder, bridge and the learned vectors around a picture."""
    qkv = ("attn.q.{p}", "attn.k.{p}", "attn.v.{p}")
    block = (
        Rename("input_layernorm.{p}", "norm1.{p}"),
        Rename("post_attention_layernorm.{p}", "norm2.{p}"),
        Fuse("attention.query_key_value.{p}", qkv, (spec.width,) * 3),
        Rename("attention.dense.{p}", "attn.out.{p}"),
        Rename("mlp.fc1.{p}", "mlp.up.{p}"),
        Rename("mlp.fc2.{p}", "mlp.down.{p}"),
    )
    whole = (
        Rename("patch_embedding.proj.{p}", "vision.patch_embed.{p}"),
        Reshape("patch_embedding.cls_embedding", "vision.class_token", lead=1),
        Rename("patch_embedding.position_embedding.weight", "vision.positions"),
        *under(block, disk="transformer.layers.{i}.", ours="vision.blocks.{i}."),
        Rename("linear_proj.linear_proj.weight", "connector.project.weight"),
        Rename("linear_proj.norm1.{p}", "connector.norm.{p}"),
        Rename("linear_proj.gate_proj.weight", "connector.mlp.gate.weight"),
        Rename("linear_proj.dense_h_to_4h.weight", "connector.mlp.up.weight"),
        Rename("linear_proj.dense_4h_to_h.weight", "connector.mlp.down.weight"),
        *(Reshape(end, f"learned.{end}", lead=2) for end in ENDS),
    )
    return under(whole, disk="model.vision.")


def text_rules(spec: DecoderSpec) -> tuple[Rule, ...]:
    """Llama's names, each matrix of a block in the version of language and of vision."""
    a = spec.attention
    rows = tuple(heads * a.head_dim for heads in (a.heads, a.kv_heads, a.kv_heads))
    block: list[Rule] = [
        Rename("input_layernorm.weight", "norm1.weight"),
        Rename("post_attention_layernorm.weight", "norm2.weight"),
        Drop("self_attn.rotary_emb.inv_freq", "rotary frequencies are computed"),
    ]
    for name, ours in (("language", ""), ("vision", "expert.")):
        expert = f"self_attn.{name}_expert_"
        qkv = tuple(f"{ours}attn.{n}.weight" for n in "qkv")
        block += [
            Fuse(f"{expert}query_key_value.weight", qkv, rows),
            Rename(f"{expert}dense.weight", f"{ours}attn.out.weight"),
            *(
                Rename(f"mlp.{name}_mlp.{n}_proj.weight", f"{ours}mlp.{n}.weight")
                for n in ("gate", "up", "down")
            ),
        ]
    return (
        Rename("model.embed_tokens.weight", "language.embed.weight"),
        *under(block, disk="model.layers.{i}.", ours="language.blocks.{i}."),
        Rename("model.norm.weight", "language.norm.weight"),
        *head_rules(spec, "lm_head."),
    )


def _prompt(checkpoint: Checkpoint, text: DecoderSpec, version: str) -> PromptSpec:
    """The published code has no placeholder token (it pads): the tokenizer's, or a new row."""
    tokens, written = read_tokens(checkpoint), read_text_prompt(checkpoint, checkpoint.config)
    known = tokens.id_of("<image>")
    free = text.vocab if tokens.first_free is None else tokens.first_free
    if version not in ASKED:
        raise FamilyError("template_version", f"{version!r} is unknown", f"known: {list(ASKED)}")
    question, answer = ASKED[version]
    source = COGVLM.replace("QUESTION", question).replace("ANSWER", answer)
    source = source.replace("BOS", "bos_token" if written.bos_id is not None else "''")
    return PromptSpec(
        template=read_template(checkpoint) or JinjaTemplate(source=source),
        image=ImageTokenSpec(id=free if known is None else known),
        stop_ids=tuple(stop for stop in written.stop_ids if stop < text.vocab),
        pad_id=written.pad_id or 0,
    )
