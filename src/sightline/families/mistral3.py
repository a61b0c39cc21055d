"""Mistral Small 3.1 and 3.2 (model_type mistral3): Pixtral's tower, a patch merger, Mistral.

Source: transformers 5.23.0 models/mistral3 and models/pixtral.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import activation, refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.llava_like import LANGUAGE_ROOTS, PROJECTOR_ROOTS
from sightline.families.mistral import MISTRAL
from sightline.families.paligemma import placeholder
from sightline.families.parts import chosen_layer, decoder_rules, read_decoder
from sightline.families.pixtral import ANCHOR
from sightline.families.pixtral import DEFAULTS as PIXTRAL_DEFAULTS
from sightline.families.pixtral import read as read_pixtral
from sightline.families.pixtral import rules as pixtral_rules
from sightline.families.pixtral import views as pixtral_views
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.tokens import TokenFacts, read_tokens
from sightline.families.views import HARMLESS as HARMLESS_VIEWS
from sightline.families.views import processor_config, read_pixels
from sightline.spec.connector import PatchMergerSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.layers import RmsNormSpec
from sightline.spec.prompt import PromptSpec
from sightline.spec.resolution import LongestEdgeSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "image_token_index": 10,
    "projector_hidden_act": "gelu",
    "vision_feature_layer": -1,
    "multimodal_projector_bias": False,
    "spatial_merge_size": 2,
    "tie_word_embeddings": False,
}
# What Mistral3Config builds where config.json has no vision_config or no text_config.
TOWER: dict[str, Any] = {"patch_size": 14, "image_size": 1540}
TEXT: dict[str, Any] = {
    "head_dim": 128,
    "hidden_size": 5120,
    "intermediate_size": 32768,
    "num_hidden_layers": 40,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e9,
    "sliding_window": None,
    "vocab_size": 131072,
}
VISION_ROOTS = ("vision_tower.", "model.vision_tower.")
BREAK, END = ("[IMG_BREAK]", 12), ("[IMG_END]", 13)  # with their ids in Mistral's tekken vocabulary

FACTS = FamilyFacts(
    name="mistral3",
    part="model",
    model_types=("mistral3",),
    covers="Mistral Small 3.1 and 3.2",
    proof="tests/parity/test_mistral3.py: logits, 32 greedy tokens, ids, token counts and pixels "
    "of transformers 5.23.0, three spellings, two dialects",
    resolution=("longest_edge",),
    connector=("patch_merger",),
    fusion=("interleave",),
    decoders=("mistral",),
)


def read_mistral3(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    vision, ignored_vision = _vision(config)
    language, ignored_text = _language(config)
    merged = config.take("spatial_merge_size", int)
    connector = PatchMergerSpec(
        side=merged,
        norm=RmsNormSpec(eps=language.norm.eps),
        activation=activation(config, "projector_hidden_act"),
        bias=config.take("multimodal_projector_bias", bool),
    )
    language, text_rules, notes = decoder_rules(MISTRAL, language, checkpoint, LANGUAGE_ROOTS)
    root = root_of(checkpoint, ANCHOR, VISION_ROOTS, "mistral3")
    rules = (*under(pixtral_rules(), disk=root), *_projector_rules(checkpoint), *text_rules)
    tokens = read_tokens(checkpoint)
    views, view_notes = _views(checkpoint, tokens, vision, merged)
    prompt, prompt_notes = _prompt(checkpoint, config, tokens, language)
    ignored = (*config.finish("mistral3"), *ignored_vision, *ignored_text)
    return Declared(
        family="mistral3",
        resolution=views,
        vision=vision,
        connector=connector,
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=(*view_notes, *prompt_notes, *notes),
    )


def _vision(config: Config) -> tuple[VitSpec, tuple[str, ...]]:
    given = config.take("vision_config", dict, TOWER)
    sub = Config(given, where="vision_config", defaults=PIXTRAL_DEFAULTS)
    sub.expect("model_type", "pixtral", None, why="the tower is Pixtral's here")
    with refusing("mistral3"):
        spec = read_pixtral(sub)
        layer = chosen_layer(config, "vision_feature_layer", spec.depth)
        spec = VitSpec(**(spec.model_dump() | {"layer": layer}))
    return spec, sub.finish("pixtral", ("vocab_size",))


def _language(config: Config) -> tuple[DecoderSpec, tuple[str, ...]]:
    given = config.take("text_config", dict, TEXT)
    sub = Config(given, where="text_config", defaults=MISTRAL.defaults)
    sub.expect("model_type", *MISTRAL.model_types, None, why="the text model is Mistral here")
    spec, ignored = read_decoder(MISTRAL, sub)
    tied = config.take("tie_word_embeddings", bool) or spec.tied_head
    return spec.model_copy(update={"tied_head": tied}), ignored


def _projector_rules(checkpoint: Checkpoint) -> tuple[Rule, ...]:
    root = root_of(checkpoint, "linear_1.weight", PROJECTOR_ROOTS, "mistral3")
    own = (
        Rename("norm.{p}", "norm.{p}"),
        Rename("patch_merger.merging_layer.{p}", "merge.{p}"),
        Rename("linear_1.{p}", "layers.0.{p}"),
        Rename("linear_2.{p}", "layers.1.{p}"),
    )
    return under(own, disk=root, ours="connector.")


def _views(
    checkpoint: Checkpoint, tokens: TokenFacts, vision: VitSpec, merged: int
) -> tuple[LongestEdgeSpec, tuple[str, ...]]:
    """Sides are multiples of what the processor calls a patch: patch_size × spatial_merge_size."""
    notes: tuple[str, ...] = ()
    processor = Config(checkpoint.json("processor_config.json"), where="processor_config")
    patch = processor.take("patch_size", int, vision.patch)
    multiple = patch * processor.take("spatial_merge_size", int, merged)
    default = pixtral_views(vision.position_side, multiple)
    edge, pixels = default.edge, default.pixels
    if data := processor_config(checkpoint):
        config = Config(data, where="preprocessor_config")
        config.expect("do_resize", True, why="every picture is resized")
        config.expect("do_center_crop", False, None, why="pictures are seen whole")
        config.data.pop("patch_size", None)  # the processor gives its own in its place
        config.expect("do_pad", True, None, why="pictures of a batch are padded")
        pixels = read_pixels(config, default.pixels)
        size = config.sub("size", {"longest_edge": 1024})
        edge = size.take("longest_edge", int)
        size.finish("mistral3")
        config.finish("mistral3", (*HARMLESS_VIEWS, "crop_size"))
    else:
        notes = (f"no processor file: pictures enter as mistral3 has them, up to {edge} px",)
    names = tuple(
        processor.take(key, str, text)
        for key, (text, _) in (("image_break_token", BREAK), ("image_end_token", END))
    )
    row_end, end = _tag(tokens, names[0], BREAK[1]), _tag(tokens, names[1], END[1])
    spec = default.model_copy(
        update={"edge": edge, "pixels": pixels, "row_end": (row_end,), "end": (end,)}
    )
    return LongestEdgeSpec.parse(spec.model_dump()), notes


def _tag(tokens: TokenFacts, text: str, default: int) -> int:
    found = tokens.id_of(text)
    return default if found is None else found


def _prompt(
    checkpoint: Checkpoint, config: Config, tokens: TokenFacts, language: DecoderSpec
) -> tuple[PromptSpec, tuple[str, ...]]:
    nested = {**MISTRAL.defaults, **(checkpoint.config.get("text_config") or {})}
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    image = placeholder(checkpoint, config, tokens, language.vocab)
    if image.text == "<image>" and "<image>" not in tokens.added:
        image = image.model_copy(update={"text": "[IMG]"})
    return image_prompt(written, image=image, vocab=language.vocab, fallback="mistral")
