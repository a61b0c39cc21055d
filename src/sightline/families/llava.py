"""LLaVA 1.5 and LLaVA-Interleave in Hugging Face's format (model_type llava).

Source: transformers 5.23.0 models/llava. Three spellings of tensor names are on disks: the hub's,
what transformers 5.x saves by default, and its own module names; each root is found by probing.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily, TowerFamily, activation, refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.parts import (
    chosen_layer,
    decoder_rules,
    read_decoder,
    read_tower,
    tower_rules,
)
from sightline.families.prompts import Builtin, image_prompt, image_text, read_text_prompt
from sightline.families.tables import text_family, tower_family
from sightline.families.tokens import read_tokens
from sightline.families.views import read_views
from sightline.spec.connector import MlpSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import ImageTokenSpec, PromptSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "image_token_index": 32000,
    "projector_hidden_act": "gelu",
    "vision_feature_select_strategy": "default",
    "vision_feature_layer": -2,
    "multimodal_projector_bias": True,
    "tie_word_embeddings": False,
}
# What LlavaConfig builds where config.json has no vision_config at all: CLIP-L/14-336.
CLIP_L_336: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}
HARMLESS = ("ignore_index", "image_seq_length", "vocab_size")
LANGUAGE_ROOTS = (
    ("language_model.model.", "language_model.lm_head."),
    ("model.language_model.", "lm_head."),
)
VISION_ROOTS = (
    "vision_tower.vision_model.",
    "vision_tower.",
    "model.vision_tower.",
    "model.vision_tower.vision_model.",
)
PROJECTOR_ROOTS = ("multi_modal_projector.", "model.multi_modal_projector.")
DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma")
TEMPLATES: dict[str, Builtin] = {
    "llama": "vicuna",
    "mistral": "mistral",
    "qwen2": "chatml",
    "qwen3": "chatml",
    "gemma": "gemma",
}
PROOF = "tests/parity/test_llava.py: logits and 32 greedy tokens of transformers 5.23.0"
FACTS = FamilyFacts(
    name="llava",
    part="model",
    model_types=("llava",),
    covers="LLaVA 1.5 and LLaVA-Interleave; CLIP, SigLIP or DINOv2 towers",
    proof=f"{PROOF}, three spellings, two dialects",
    exports=True,
    resolution=("fixed",),
    connector=("mlp",),
    fusion=("interleave",),
    decoders=DECODERS,
)


def read_llava(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    tower, vision, ignored_vision = _vision(config)
    text, language, ignored_text = _language(config)
    connector = MlpSpec(
        depth=2,
        activation=activation(config, "projector_hidden_act"),
        bias=config.take("multimodal_projector_bias", bool),
    )
    language, text_rules, tie_notes = decoder_rules(text, language, checkpoint, LANGUAGE_ROOTS)
    rules = (
        *tower_rules(tower, vision, checkpoint, VISION_ROOTS),
        *projector_rules(root_of(checkpoint, "linear_1.weight", PROJECTOR_ROOTS, "llava")),
        *text_rules,
    )
    views, view_notes = read_views(checkpoint, tower.views(vision.image_size), tower.name)
    prompt, prompt_notes = _prompt(checkpoint, config, language, text)
    ignored = (*config.finish("llava", HARMLESS), *ignored_vision, *ignored_text)
    return Declared(
        family="llava",
        resolution=views,
        vision=vision,
        connector=connector,
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=stored_dtype(checkpoint.config),
        ignored=ignored,
        notes=(*view_notes, *prompt_notes, *tie_notes),
    )


def projector_rules(root: str = "multi_modal_projector.") -> tuple[Rule, ...]:
    layers = (
        Rename("linear_1.{p}", "connector.layers.0.{p}"),
        Rename("linear_2.{p}", "connector.layers.1.{p}"),
    )
    return under(layers, disk=root)


def stored_dtype(config: dict[str, Any]) -> str | None:
    """`dtype` (5.x) or `torch_dtype` (4.x), at the top or of the text model."""
    nested = config.get("text_config") or {}
    for level in (config, nested):
        for key in ("dtype", "torch_dtype"):
            if isinstance(value := level.get(key), str):
                return value
    return None


def _vision(config: Config) -> tuple[TowerFamily, VitSpec, tuple[str, ...]]:
    given = config.take("vision_config", dict, CLIP_L_336)
    family = tower_family(given.get("model_type", "clip_vision_model"), "vision_config.model_type")
    sub = Config(given, where="vision_config", defaults=family.defaults)
    spec, ignored = read_tower(family, sub)
    kept = _kept_token(config.take("vision_feature_select_strategy", str), spec)
    layer = chosen_layer(config, "vision_feature_layer", spec.depth)
    with refusing("llava"):
        chosen = {"layer": layer, "class_token": kept, "post_norm": "unused"}
        return family, VitSpec(**(spec.model_dump() | chosen)), ignored


def _kept_token(strategy: str, spec: VitSpec) -> str:
    """`default` cuts the first row, whatever it is; `full` keeps every row."""
    field = "vision_feature_select_strategy"
    if strategy not in ("default", "full"):
        raise FamilyError(field, f"is {strategy!r}", "known: default, full")
    if spec.registers:
        raise FamilyError(field, "would pass registers on as patches", "use a tower without them")
    if spec.class_token == "absent":
        if strategy == "full":
            return "absent"
        raise FamilyError(
            field, "default would cut the first patch of a tower without class token", "use full"
        )
    return "drop" if strategy == "default" else "keep"


def _language(config: Config) -> tuple[TextFamily, DecoderSpec, tuple[str, ...]]:
    given = config.take("text_config", dict, {})
    family = text_family(given.get("model_type", "llama"), "text_config.model_type")
    if family.name not in DECODERS:
        raise FamilyError(
            "text_config.model_type", f"{family.name!r} in llava", f"known: {', '.join(DECODERS)}"
        )
    sub = Config(given, where="text_config", defaults=family.defaults)
    spec, ignored = read_decoder(family, sub)
    tied = config.take("tie_word_embeddings", bool) or spec.tied_head
    return family, spec.model_copy(update={"tied_head": tied}), ignored


def _prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec, text: TextFamily
) -> tuple[PromptSpec, tuple[str, ...]]:
    key = "image_token_id" if "image_token_id" in config else "image_token_index"
    token_id = config.take(key, int)
    config.maybe("image_token_index", int)
    if not 0 <= token_id < language.vocab:
        raise FamilyError(
            key, f"{token_id} is outside the vocabulary of {language.vocab}", "mend config.json"
        )
    nested = {**text.defaults, **(checkpoint.config.get("text_config") or {})}
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    image = ImageTokenSpec(
        text=image_text(checkpoint, read_tokens(checkpoint), token_id), id=token_id
    )
    return image_prompt(written, image=image, vocab=language.vocab, fallback=TEMPLATES[text.name])
