"""Gemma 3: SigLIP whose patches are averaged, and a text model in which pictures see themselves.

Source: transformers 5.23.0 models/gemma3. Pan and scan (more views of long pictures, off in every
published folder) is not built: its words would be read as one with the user's.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.gemma3_text import GEMMA3_TEXT
from sightline.families.llava_like import (
    LANGUAGE_ROOTS,
    PROJECTOR_ROOTS,
    VISION_ROOTS,
)
from sightline.families.paligemma import placeholder, read_siglip
from sightline.families.parts import decoder_rules, read_decoder, tower_rules
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.siglip import HALF, SIGLIP
from sightline.families.tokens import read_tokens
from sightline.families.views import HARMLESS as HARMLESS_VIEWS
from sightline.families.views import processor_config, read_fixed
from sightline.spec.connector import PooledSpec
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.layers import RmsNormSpec
from sightline.spec.prompt import ImageTokenSpec, PromptSpec
from sightline.spec.resolution import FixedSpec, PixelSpec
from sightline.spec.rules import Rename, Rule, Transpose
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "image_token_index": 262144,
    "boi_token_index": 255999,
    "eoi_token_index": 256000,
    "mm_tokens_per_image": 256,
    "tie_word_embeddings": True,
}
SIGLIP_BASE: dict[str, Any] = {"model_type": "siglip_vision_model"}
HARMLESS_CROPS = tuple(
    f"pan_and_scan_{key}" for key in ("max_num_crops", "min_crop_size", "min_ratio_to_activate")
)
AROUND = ("\n\n", "\n\n")  # Gemma3Processor's full_image_sequence

FACTS = FamilyFacts(
    name="gemma3",
    part="model",
    model_types=("gemma3",),
    covers="Gemma 3 4B, 12B and 27B, MedGemma",
    proof="tests/parity/test_gemma3.py: logits, 32 greedy tokens, ids and pixels of transformers "
    "5.23.0, three spellings, two dialects",
    resolution=("fixed",),
    connector=("pooled",),
    fusion=("interleave",),
    decoders=("gemma3_text",),
)


def read_gemma3(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    vision, ignored_vision = read_siglip(config, SIGLIP_BASE)
    language, ignored_text = _language(config)
    connector = _connector(config, vision)
    language, text_rules, notes = decoder_rules(GEMMA3_TEXT, language, checkpoint, LANGUAGE_ROOTS)
    rules = (
        *tower_rules(SIGLIP, vision, checkpoint, VISION_ROOTS),
        *_projector_rules(checkpoint),
        *text_rules,
    )
    views, view_notes = _views(checkpoint, vision.position_side)
    prompt, prompt_notes = _prompt(checkpoint, config, language)
    ignored = (*config.finish("gemma3"), *ignored_vision, *ignored_text)
    return Declared(
        family="gemma3",
        resolution=views,
        vision=vision,
        connector=connector,
        fusion=InterleaveSpec(mask="media"),
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=(*view_notes, *prompt_notes, *notes),
    )


def _language(config: Config) -> tuple[DecoderSpec, tuple[str, ...]]:
    sub = config.sub("text_config", defaults=GEMMA3_TEXT.defaults)
    sub.expect("model_type", *GEMMA3_TEXT.model_types, why="the text model is Gemma 3's here")
    sub.expect("final_logit_softcapping", None, why="the reference does not apply it")
    spec, ignored = read_decoder(GEMMA3_TEXT, sub)
    tied = config.take("tie_word_embeddings", bool) or spec.tied_head
    return spec.model_copy(update={"tied_head": tied}), ignored


def _connector(config: Config, vision: VitSpec) -> PooledSpec:
    tokens, cells = config.take("mm_tokens_per_image", int), vision.position_grid
    side = cells.rows // max(1, int(tokens**0.5))
    if side < 1 or cells.area != tokens * side**2:
        raise FamilyError(
            "mm_tokens_per_image",
            f"{tokens} are no squares of {cells.rows} × {cells.cols} patches",
            "mend config.json",
        )
    return PooledSpec(side=side, norm=RmsNormSpec(eps=vision.norm_eps, unit_offset=True))


def _projector_rules(checkpoint: Checkpoint) -> tuple[Rule, ...]:
    root = root_of(checkpoint, "mm_soft_emb_norm.weight", PROJECTOR_ROOTS, "gemma3")
    return (
        Transpose(f"{root}mm_input_projection_weight", "connector.layers.0.weight"),
        Rename(f"{root}mm_soft_emb_norm.weight", "connector.norm.weight"),
    )


def _views(checkpoint: Checkpoint, side: int) -> tuple[FixedSpec, tuple[str, ...]]:
    """Gemma3ImageProcessor: squash, bilinear, to -1..1."""
    pixels = PixelSpec(resample="bilinear", mean=HALF, std=HALF)
    default = FixedSpec(size=side, fit="squash", pixels=pixels)
    if not (data := processor_config(checkpoint)):
        return default, (f"no processor file: pictures enter as gemma3 has them, {side} px",)
    config = Config(data, where="preprocessor_config")
    config.expect("do_pan_and_scan", None, False, why="more views of a picture are not built")
    with refusing("gemma3"):
        spec = read_fixed(config, default)
    config.finish("gemma3", (*HARMLESS_VIEWS, *HARMLESS_CROPS))
    return spec, ()


def _prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec
) -> tuple[PromptSpec, tuple[str, ...]]:
    """Templates write <start_of_image>; the processor writes the soft tokens between it and
    <end_of_image>, and empty lines around both."""
    nested = {**GEMMA3_TEXT.defaults, **(checkpoint.config.get("text_config") or {})}
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    tokens = read_tokens(checkpoint)
    start, end = (config.take(f"{key}_token_index", int) for key in ("boi", "eoi"))
    image = ImageTokenSpec(
        text=tokens.text_of(start) or "<start_of_image>",
        id=placeholder(checkpoint, config, tokens, language.vocab).id,
        before=(start,),
        after=(end,),
        around=AROUND,
        text_id=start,
    )
    return image_prompt(written, image=image, vocab=language.vocab, fallback="gemma3")
