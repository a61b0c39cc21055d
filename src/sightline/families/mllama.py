"""Llama 3.2 Vision (model_type mllama): Llama 3.1 with blocks that read pictures from a memory.

Source: transformers 5.23.0 models/mllama. Its files count those blocks among the layers (3, 8, … 38
of 40); here the text model is a Llama of 32 layers, with one of them before layers 3, 7, … 31.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families import llama
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.llava_like import LANGUAGE_ROOTS, PROJECTOR_ROOTS
from sightline.families.mllama_tower import read_canvas, read_tiled, renamed, tiled_rules
from sightline.families.parts import decoder_rules, read_decoder
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.tokens import read_tokens
from sightline.spec.connector import LinearSpec
from sightline.spec.fusion import CrossAttentionSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import ImageTokenSpec
from sightline.spec.rules import Rename, Rule, under

TEXT_DEFAULTS: dict[str, Any] = llama.DEFAULTS | {
    "vocab_size": 128256,
    "intermediate_size": 14336,
    "num_hidden_layers": 40,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
    "bos_token_id": 128000,
    "eos_token_id": 128001,
    "pad_token_id": 128004,
}
UNSPOKEN = 8  # embeddings beyond the vocabulary, the picture's among them
CROSS = {
    "norm1.{p}": "input_layernorm.{p}",
    "norm2.{p}": "post_attention_layernorm.{p}",
    **{f"attn.{n}.{{p}}": f"cross_attn.{n}_proj.{{p}}" for n in "qkv"},
    "attn.out.{p}": "cross_attn.o_proj.{p}",
    **{f"attn.{n}_norm.{{p}}": f"cross_attn.{n}_norm.{{p}}" for n in "qk"},
    **{f"mlp.{n}.{{p}}": f"mlp.{n}_proj.{{p}}" for n in ("gate", "up", "down")},
    "attn_gate": "cross_attn_attn_gate",
    "mlp_gate": "cross_attn_mlp_gate",
}
FACTS = FamilyFacts(
    name="mllama",
    part="model",
    model_types=("mllama",),
    covers="Llama 3.2 Vision 11B and 90B",
    proof="tests/parity/test_mllama.py: logits and 32 greedy tokens of transformers 5.23.0, three "
    "spellings",
    resolution=("canvas",),
    connector=("linear",),
    fusion=("cross_attention",),
    decoders=("llama",),
)


def read_mllama(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults={"image_token_index": 128256})
    vision, ignored_vision = read_tiled(config)
    given = config.take("text_config", dict, {})
    config.maybe("tie_word_embeddings", bool)  # the reference ties nothing
    text = Config(given, where="text_config", defaults=TEXT_DEFAULTS)
    layers = _layers(text)
    language, ignored_text = read_decoder(llama.LLAMA, text, ("dropout",))
    language = _without_reading(language, layers)
    family = replace(llama.LLAMA, rules=lambda s, body, head: _text_rules(s, body, head, layers))
    language, text_rules, tie_notes = decoder_rules(family, language, checkpoint, LANGUAGE_ROOTS)
    projector = root_of(checkpoint, "weight", PROJECTOR_ROOTS, "mllama")
    rules = (
        *tiled_rules(checkpoint),
        Rename(f"{projector}{{p}}", "connector.layers.0.{p}"),
        *text_rules,
    )
    image = _image(checkpoint, config, language)
    written = read_text_prompt(checkpoint, checkpoint.config, {**TEXT_DEFAULTS, **given})
    prompt, notes = image_prompt(written, image=image, vocab=language.vocab, fallback="llama3")
    views, view_notes = read_canvas(checkpoint, vision)
    return Declared(
        family="mllama",
        resolution=views,
        vision=vision,
        connector=LinearSpec(),
        fusion=CrossAttentionSpec(
            layers=tuple(layer - i for i, layer in enumerate(layers)),
            sees="run",
            blind="everything",
            qk_norm="rms",
        ),
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=(*config.finish("mllama"), *ignored_vision, *ignored_text),
        notes=(*view_notes, *notes, *tie_notes),
    )


def _layers(text: Config) -> tuple[int, ...]:
    """The layers that read pictures; each stands before one that does not."""
    layers, depth = text.take("cross_attention_layers", list), text.take("num_hidden_layers", int)
    alone = all(layer + 1 < depth and layer + 1 not in layers for layer in layers)
    if not layers or layers != sorted(set(layers)) or not alone:
        raise FamilyError(
            text.name("cross_attention_layers"),
            f"is {layers} of {depth} layers",
            "only layers with a self-attention layer after each can be read",
        )
    return tuple(layers)


def _without_reading(language: DecoderSpec, layers: tuple[int, ...]) -> DecoderSpec:
    depth = language.depth - len(layers)
    with refusing("mllama.text_config"):
        return DecoderSpec(**(language.model_dump() | {"depth": depth, "unspoken": UNSPOKEN}))


def _image(checkpoint: Checkpoint, config: Config, language: DecoderSpec) -> ImageTokenSpec:
    key = "image_token_id" if "image_token_id" in config else "image_token_index"
    token_id = config.take(key, int)
    config.maybe("image_token_index", int)
    if not 0 <= token_id < language.vocab + UNSPOKEN:
        held = f"{language.vocab} + {UNSPOKEN}"
        raise FamilyError(key, f"{token_id} is not among {held} embeddings", "mend config.json")
    text = read_tokens(checkpoint).text_of(token_id)
    return ImageTokenSpec(text=text or "<|image|>", id=token_id)


def _text_rules(
    spec: DecoderSpec, body: str, head: str, layers: tuple[int, ...]
) -> tuple[Rule, ...]:
    """Llama's rules with the numbers that its layers have on disk, and those of the others."""
    plain = [n for n in range(spec.depth + len(layers)) if n not in layers]
    rules: list[Rule] = []
    for rule in llama.rules(spec, body, head):
        rules += _numbered(rule, plain) if isinstance(rule, Rename) else [rule]
    for i, layer in enumerate(layers):
        ours = f"language.blocks.{layer - i}.cross."
        rules += under(renamed(CROSS), disk=f"{body}layers.{layer}.", ours=ours)
    return tuple(rules)


def _numbered(rule: Rename, numbers: Iterable[int]) -> list[Rename]:
    if "{i}" not in rule.disk:
        return [rule]
    return [
        Rename(rule.disk.replace("{i}", str(disk)), rule.ours.replace("{i}", str(ours)))
        for ours, disk in enumerate(numbers)
    ]
