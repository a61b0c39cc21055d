"""InternVL 2.5 and 3 in Hugging Face's format (model_type internvl).

Source: transformers 5.23.0 models/internvl and models/got_ocr2, whose image processor cuts the
tiles. Its processor asks for tiles whatever the folder says of `crop_to_patches`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily, TowerFamily, activation
from sightline.families.files import Checkpoint, root_of
from sightline.families.internvit import INTERNVIT_HF
from sightline.families.internvl_prompt import FRAMES, image_tokens, with_placeholder
from sightline.families.internvl_views import read_tiles
from sightline.families.llava_like import LANGUAGE_ROOTS, PROJECTOR_ROOTS
from sightline.families.parts import (
    chosen_layer,
    decoder_rules,
    read_decoder,
    read_tower,
    tower_rules,
)
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.tables import text_family
from sightline.spec.connector import PixelShuffleSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import PromptSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import VitSpec

Weights = tuple[DecoderSpec, tuple[Rule, ...], tuple[str, ...]]

DEFAULTS: dict[str, Any] = {
    "image_token_id": 151667,
    "downsample_ratio": 0.5,
    "projector_hidden_act": "gelu",
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "default",
}
DECODERS = ("qwen2", "llama", "qwen3")
VISION_ROOTS = ("vision_tower.", "model.vision_tower.")
PROOF = "tests/parity/test_internvl.py: logits and 32 greedy tokens of transformers 5.23.0"
FACTS = FamilyFacts(
    name="internvl",
    part="model",
    model_types=("internvl",),
    covers="InternVL 2.5, 3 and 3.5 with dense decoders, in Hugging Face's format",
    proof=f"{PROOF}, two spellings, two dialects",
    resolution=("tiling",),
    connector=("pixel_shuffle",),
    fusion=("interleave",),
    decoders=DECODERS,
    grounding="internvl",
    video="frames as pictures, one tile each",
)


def read_internvl(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_parts(checkpoint, "internvl", INTERNVIT_HF, "qwen2", _weights)


def _weights(
    checkpoint: Checkpoint, vision: VitSpec, text: TextFamily, language: DecoderSpec
) -> Weights:
    language, rules, notes = decoder_rules(text, language, checkpoint, LANGUAGE_ROOTS)
    named = (
        *tower_rules(INTERNVIT_HF, vision, checkpoint, VISION_ROOTS),
        *projector_rules(root_of(checkpoint, "linear_1.weight", PROJECTOR_ROOTS, "internvl")),
        *rules,
    )
    return language, named, notes


def read_parts(
    checkpoint: Checkpoint,
    family: str,
    tower: TowerFamily,
    text_type: str,
    weights: Callable[[Checkpoint, VitSpec, TextFamily, DecoderSpec], Weights],
) -> Declared:
    """`text_type` is the decoder where config.json names none; `weights` names the tensors."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    vision, ignored_vision = read_tower(tower, config.sub("vision_config", tower.defaults))
    text, language, ignored_text = _language(config, family, text_type)
    language, rules, tie_notes = weights(checkpoint, vision, text, language)
    views, view_notes = read_tiles(checkpoint, vision.position_side, family)
    prompt, prompt_notes = _prompt(checkpoint, config, language, text)
    connector = PixelShuffleSpec(
        side=shuffle_side(config), activation=activation(config, "projector_hidden_act")
    )
    features = _features(config, vision)
    ignored = config.finish(family, ("image_seq_length",))
    return Declared(
        family=family,
        resolution=views,
        vision=features,
        connector=connector,
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=(*ignored, *ignored_vision, *ignored_text),
        notes=(*view_notes, *prompt_notes, *tie_notes),
    )


def projector_rules(root: str) -> tuple[Rule, ...]:
    layers = (
        Rename("layer_norm.{p}", "connector.norm.{p}"),
        Rename("linear_1.{p}", "connector.layers.0.{p}"),
        Rename("linear_2.{p}", "connector.layers.1.{p}"),
    )
    return under(layers, disk=root)


def shuffle_side(config: Config) -> int:
    """Cells on the side of a square that becomes one token."""
    ratio = config.take("downsample_ratio", float)
    side = int(1 / ratio) if 0 < ratio <= 1 else 0
    if side * ratio != 1:
        raise FamilyError(config.name("downsample_ratio"), f"is {ratio}", "give 1/2 or 1/4")
    return side


def _language(
    config: Config, family: str, text_type: str
) -> tuple[TextFamily, DecoderSpec, tuple[str, ...]]:
    given = config.take("text_config", dict, {})
    text = text_family(given.get("model_type", text_type), "text_config.model_type")
    if text.name not in DECODERS:
        raise FamilyError(
            "text_config.model_type", f"{text.name!r} in {family}", f"known: {', '.join(DECODERS)}"
        )
    sub = Config(given, where="text_config", defaults=text.defaults)
    spec, ignored = read_decoder(text, sub)
    tied = config.take("tie_word_embeddings", bool, given.get("tie_word_embeddings") is not False)
    return text, spec.model_copy(update={"tied_head": tied}), ignored


def _features(config: Config, spec: VitSpec) -> VitSpec:
    """The final norm, where there is one, belongs to layer -1 alone."""
    config.expect(
        "vision_feature_select_strategy", "default", why="a class token has no place in a grid"
    )
    layer = chosen_layer(config, "vision_feature_layer", spec.depth)
    chosen: dict[str, object] = {"layer": layer, "class_token": "drop"}
    if spec.post_norm != "absent":
        chosen["post_norm"] = "applied" if layer == -1 else "unused"
    return VitSpec(**(spec.model_dump() | chosen))


def _prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec, text: TextFamily
) -> tuple[PromptSpec, tuple[str, ...]]:
    nested = {**text.defaults, **(checkpoint.config.get("text_config") or {})}
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    image, notes = image_tokens(checkpoint, config.take("image_token_id", int))
    written = replace(written, template=with_placeholder(written.template, image.text))
    prompt, more = image_prompt(written, image=image, vocab=language.vocab, fallback="chatml")
    chosen = {"frames": FRAMES, "grounding": "internvl"}
    return prompt.model_copy(update=chosen), (*notes, *more)
