"""PaliGemma 1 and 2: SigLIP, one matrix, and Gemma whose prompt sees itself in both directions.

Source: transformers 5.23.0 models/paligemma (Beyer et al. 2024; Steiner et al. 2024). The processor
has no chat template: it writes the pictures, the first token, the words and a newline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily
from sightline.families.files import Checkpoint, root_of
from sightline.families.llava_like import (
    LANGUAGE_ROOTS,
    PROJECTOR_ROOTS,
    VISION_ROOTS,
)
from sightline.families.parts import decoder_rules, read_decoder, read_tower, tower_rules
from sightline.families.prompts import image_prompt, image_text, read_text_prompt
from sightline.families.siglip import SIGLIP
from sightline.families.tables import text_family
from sightline.families.tokens import TokenFacts, read_tokens
from sightline.families.views import read_views
from sightline.prompt.grounding import style_tokens
from sightline.spec.connector import LinearSpec
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import ImageTokenSpec, PromptSpec
from sightline.spec.rules import Rename
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {"image_token_index": 256000, "tie_word_embeddings": True}
# What PaliGemmaConfig builds where config.json has no vision_config or no text_config.
SO400M: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "intermediate_size": 4096,
    "hidden_size": 1152,
    "patch_size": 14,
    "image_size": 224,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
}
GEMMA_2B: dict[str, Any] = {
    "model_type": "gemma",
    "hidden_size": 2048,
    "num_hidden_layers": 18,
    "intermediate_size": 16384,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "vocab_size": 257152,
}
DECODERS = ("gemma", "gemma2")
HARMLESS = ("_vocab_size", "hidden_size", "ignore_index", "num_image_tokens", "vocab_size")
HARMLESS_VISION = ("num_image_tokens", "num_positions", "projector_hidden_act", "vocab_size")
SEGMENTS = tuple(f"<seg{code:03}>" for code in range(128))

FACTS = FamilyFacts(
    name="paligemma",
    part="model",
    model_types=("paligemma",),
    covers="PaliGemma and PaliGemma 2, any size",
    proof="tests/parity/test_paligemma.py: logits, 32 greedy tokens, ids and pixels of "
    "transformers 5.23.0, three spellings",
    resolution=("fixed",),
    connector=("linear",),
    fusion=("interleave",),
    decoders=DECODERS,
    grounding="paligemma",
)


def read_paligemma(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    vision, ignored_vision = read_siglip(config, SO400M, HARMLESS_VISION)
    text, language, ignored_text = _language(config)
    language, text_rules, notes = decoder_rules(text, language, checkpoint, LANGUAGE_ROOTS)
    root = root_of(checkpoint, "linear.weight", PROJECTOR_ROOTS, "paligemma")
    rules = (
        *tower_rules(SIGLIP, vision, checkpoint, VISION_ROOTS),
        Rename(f"{root}linear.{{p}}", "connector.layers.0.{p}"),
        *text_rules,
    )
    views, view_notes = read_views(checkpoint, SIGLIP.views(vision.position_side), "paligemma")
    prompt = _prompt(checkpoint, config, language, text)
    ignored = (*config.finish("paligemma", HARMLESS), *ignored_vision, *ignored_text)
    return Declared(
        family="paligemma",
        resolution=views,
        vision=vision,
        connector=LinearSpec(),
        fusion=InterleaveSpec(mask="prefix"),
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=(*view_notes, *notes),
    )


def read_siglip(
    config: Config, absent: Mapping[str, Any], harmless: tuple[str, ...] = ()
) -> tuple[VitSpec, tuple[str, ...]]:
    """SigLIP's tower after its final norm; `absent` is what stands for no vision_config."""
    given = config.take("vision_config", dict, dict(absent))
    sub = Config(given, where="vision_config", defaults=SIGLIP.defaults)
    sub.expect("model_type", *SIGLIP.model_types, why="the tower is SigLIP here")
    return read_tower(SIGLIP, sub, harmless)


def _language(config: Config) -> tuple[TextFamily, DecoderSpec, tuple[str, ...]]:
    given = config.take("text_config", dict, GEMMA_2B)
    family = text_family(given.get("model_type", "gemma"), "text_config.model_type")
    if family.name not in DECODERS:
        known = f"known: {', '.join(DECODERS)}"
        raise FamilyError("text_config.model_type", f"{family.name!r} in paligemma", known)
    sub = Config(given, where="text_config", defaults=family.defaults)
    sub.expect("use_bidirectional_attention", True, None, why="a prompt sees itself here")
    sub.data.pop("use_bidirectional_attention", None)  # no choice of Gemma's, but of the mask
    spec, ignored = read_decoder(family, sub, harmless=("num_image_tokens",))
    tied = config.take("tie_word_embeddings", bool) or spec.tied_head
    return family, spec.model_copy(update={"tied_head": tied}), ignored


def _prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec, text: TextFamily
) -> PromptSpec:
    nested = {**text.defaults, **(checkpoint.config.get("text_config") or {})}
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    if written.template is not None:
        problem = "stands in the folder, and PaliGemma's processor writes its own prompt"
        raise FamilyError("chat_template", problem, "remove it")
    tokens = read_tokens(checkpoint)
    image = placeholder(checkpoint, config, tokens, language.vocab)
    # The template writes the first token itself, behind the pictures.
    bare = replace(written, bos_id=None)
    prompt, _ = image_prompt(bare, image=image, vocab=language.vocab, fallback="paligemma")
    places = all(token in tokens.added for token in style_tokens("paligemma"))
    return prompt.model_copy(
        update={
            "grounding": "paligemma" if places else "none",
            "content_tokens": tuple(code for code in SEGMENTS if code in tokens.added),
        }
    )


def placeholder(
    checkpoint: Checkpoint, config: Config, tokens: TokenFacts, vocab: int
) -> ImageTokenSpec:
    """The image token, by either spelling of its key."""
    key = "image_token_id" if "image_token_id" in config else "image_token_index"
    token_id = config.take(key, int)
    config.maybe("image_token_index", int)
    if not 0 <= token_id < vocab:
        problem = f"{token_id} is outside the vocabulary of {vocab}"
        raise FamilyError(key, problem, "mend config.json")
    return ImageTokenSpec(text=image_text(checkpoint, tokens, token_id), id=token_id)
