"""What LLaVA 1.5 and its descendants in Hugging Face's format share: parts, names and prompt.

Source: transformers 5.23.0 models/llava, llava_next, llava_next_video and llava_onevision. Three
spellings of tensor names are on disks: the hub's, what transformers 5.x saves by default, and its
own module names; each root is found by probing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.family import TextFamily, TowerFamily, activation, refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.llava_prompt import read_prompt, with_video
from sightline.families.parts import (
    chosen_layer,
    decoder_rules,
    read_decoder,
    read_tower,
    tower_rules,
)
from sightline.families.tables import text_family, tower_family
from sightline.spec.connector import MlpSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.resolution import ResolutionSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import VitSpec

# What the configs build where config.json has no vision_config at all: CLIP-L/14-336.
CLIP_L_336: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}
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
HARMLESS = ("ignore_index", "image_seq_length", "vocab_size", "video_seq_length")

Views = Callable[[Checkpoint, Config, TowerFamily, VitSpec], tuple[ResolutionSpec, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Shape:
    """One model_type of this kind.

    `defaults` are its class's values for keys left out; `tower` and `text_type` what it builds
    without a vision_config or a type of text model. `views` reads how pictures enter; `newline`
    says that it holds a learned vector for the ends of rows, `video` that it has a token for clips.
    """

    family: str
    defaults: Mapping[str, Any]
    views: Views
    tower: Mapping[str, Any]
    text_type: str = "llama"
    newline: bool = False
    video: bool = False


def read_shape(checkpoint: Checkpoint, shape: Shape) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=shape.defaults)
    tower, vision, ignored_vision = _vision(config, shape)
    text, language, ignored_text = _language(config, shape)
    connector = MlpSpec(
        depth=2,
        activation=activation(config, "projector_hidden_act"),
        bias=config.take("multimodal_projector_bias", bool),
    )
    language, text_rules, tie_notes = decoder_rules(text, language, checkpoint, LANGUAGE_ROOTS)
    rules = (
        *tower_rules(tower, vision, checkpoint, VISION_ROOTS),
        *projector_rules(root_of(checkpoint, "linear_1.weight", PROJECTOR_ROOTS, shape.family)),
        *(newline_rules(checkpoint, shape.family) if shape.newline else ()),
        *text_rules,
    )
    views, view_notes = shape.views(checkpoint, config, tower, vision)
    prompt, prompt_notes = read_prompt(checkpoint, config, language, text)
    if shape.video:
        prompt = with_video(checkpoint, config, prompt)
    ignored = (*config.finish(shape.family, HARMLESS), *ignored_vision, *ignored_text)
    return Declared(
        family=shape.family,
        resolution=views,
        vision=vision,
        connector=connector,
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=(*view_notes, *prompt_notes, *tie_notes),
    )


def projector_rules(root: str = "multi_modal_projector.") -> tuple[Rule, ...]:
    layers = (
        Rename("linear_1.{p}", "connector.layers.0.{p}"),
        Rename("linear_2.{p}", "connector.layers.1.{p}"),
    )
    return under(layers, disk=root)


def newline_rules(checkpoint: Checkpoint, family: str) -> tuple[Rule, ...]:
    root = root_of(checkpoint, "image_newline", ("", "model."), family)
    return (Rename(f"{root}image_newline", "learned.newline"),)


def _vision(config: Config, shape: Shape) -> tuple[TowerFamily, VitSpec, tuple[str, ...]]:
    given = config.take("vision_config", dict, dict(shape.tower))
    kind = given.get("model_type", shape.tower["model_type"])
    family = tower_family(kind, "vision_config.model_type")
    sub = Config(given, where="vision_config", defaults=family.defaults)
    spec, ignored = read_tower(family, sub)
    kept = _kept_token(config.take("vision_feature_select_strategy", str), spec)
    layer = chosen_layer(config, "vision_feature_layer", spec.depth)
    with refusing(shape.family):
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


def _language(config: Config, shape: Shape) -> tuple[TextFamily, DecoderSpec, tuple[str, ...]]:
    given = config.take("text_config", dict, {})
    family = text_family(given.get("model_type", shape.text_type), "text_config.model_type")
    if family.name not in DECODERS:
        raise FamilyError(
            "text_config.model_type",
            f"{family.name!r} in {shape.family}",
            f"known: {', '.join(DECODERS)}",
        )
    sub = Config(given, where="text_config", defaults=family.defaults)
    spec, ignored = read_decoder(family, sub)
    tied = config.take("tie_word_embeddings", bool) or spec.tied_head
    return family, spec.model_copy(update={"tied_head": tied}), ignored
