"""InternVL 1.5, 2, 2.5 and 3 as first released (model_type internvl_chat).

Source: OpenGVLab/InternVL modeling_internvl_chat.py, conversation.py and dataset.py. Tiles are cut
with Pillow there. `ps_version` v1 (InternVL 1.1) leaves the grid transposed and is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily, refusing
from sightline.families.files import Checkpoint
from sightline.families.internvit import INTERNVIT
from sightline.families.internvl import shuffle_side
from sightline.families.internvl_prompt import CONTEXT, FIRST_FRAMES, TEMPLATES, image_tokens
from sightline.families.internvl_views import ALL, IMAGENET
from sightline.families.parts import chosen_layer, decoder_rules, read_decoder, read_tower
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.tables import text_family
from sightline.families.tokens import read_tokens
from sightline.spec.connector import PixelShuffleSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import PromptSpec
from sightline.spec.resolution import FixedSpec, ResolutionSpec, TilingSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "select_layer": -1,
    "downsample_ratio": 0.5,
    "dynamic_image_size": False,
    "use_thumbnail": False,
    "ps_version": "v1",
    "min_dynamic_patch": 1,
    "max_dynamic_patch": 6,
}
HARMLESS = ("hidden_size",)
LLM_HARMLESS = (
    "_attn_implementation attn_implementation moe_config use_flash_attn"  # of kernels
).split()
DECODERS = ("internlm2", "qwen2", "llama", "qwen3")
PROOF = "tests/parity/test_internvl_original.py: logits and 32 greedy tokens of transformers 5.23.0"
FACTS = FamilyFacts(
    name="internvl_original",
    part="model",
    model_types=("internvl_chat",),
    covers="InternVL 1.5, 2, 2.5 and 3 as first released",
    proof=f"{PROOF}' InternVL, renamed and fused",
    resolution=("tiling", "fixed"),
    connector=("pixel_shuffle",),
    fusion=("interleave",),
    decoders=DECODERS,
    grounding="internvl",
    video="frames as pictures, one tile each",
)


def read_internvl_original(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    _refuse_variants(config)
    vision, ignored_vision = read_tower(INTERNVIT, config.sub("vision_config", INTERNVIT.defaults))
    text, language, ignored_text = _language(config)
    language, text_rules, tie_notes = decoder_rules(text, language, checkpoint, _roots(text))
    views = _read_views(config, vision)
    prompt, prompt_notes = _prompt(checkpoint, config, language, text)
    connector = PixelShuffleSpec(side=shuffle_side(config))
    layer = chosen_layer(config, "select_layer", vision.depth)
    ignored = config.finish("internvl_original", HARMLESS)
    rules = (
        *under(INTERNVIT.rules(vision), disk="vision_model."),
        *first_projector_rules(),
        *text_rules,
    )
    return Declared(
        family="internvl_original",
        resolution=views,
        vision=vision.model_copy(update={"layer": layer, "class_token": "drop"}),
        connector=connector,
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=(*ignored, *ignored_vision, *ignored_text),
        notes=(*prompt_notes, *tie_notes),
    )


def first_projector_rules() -> tuple[Rule, ...]:
    """A LayerNorm and two matrices in an nn.Sequential with an activation between."""
    names = {"0": "norm", "1": "layers.0", "3": "layers.1"}
    return tuple(Rename(f"mlp1.{n}.{{p}}", f"connector.{ours}.{{p}}") for n, ours in names.items())


def _refuse_variants(config: Config) -> None:
    config.expect("ps_version", "v2", why="v1 leaves the grid of visual tokens transposed")
    config.expect("pad2square", False, None, why="pictures are stretched to tiles")
    config.expect("image_fold", None, why="pictures are not folded")
    config.expect("system_message", None, why="the template has its own")
    for key in ("use_backbone_lora", "use_llm_lora"):
        config.expect(key, 0, None, why="adapters have to be merged into the weights")


def _roots(text: TextFamily) -> tuple[tuple[str, str], ...]:
    body, head = text.roots[0]
    return ((f"language_model.{body}", f"language_model.{head}"),)


def _language(config: Config) -> tuple[TextFamily, DecoderSpec, tuple[str, ...]]:
    given = config.take("llm_config", dict)
    text = text_family(given.get("model_type"), "llm_config.model_type")
    if text.name not in DECODERS:
        raise FamilyError(
            "llm_config.model_type", f"{text.name!r} in InternVL", f"known: {', '.join(DECODERS)}"
        )
    sub = Config(given, where="llm_config", defaults=text.defaults)
    spec, ignored = read_decoder(text, sub, LLM_HARMLESS)
    stated = config.maybe("tie_word_embeddings", bool)
    tied = spec.tied_head or bool(stated)
    return text, spec.model_copy(update={"tied_head": tied}), ignored


def _read_views(config: Config, vision: VitSpec) -> ResolutionSpec:
    side = config.take("force_image_size", int, vision.position_side)
    least, most = config.take("min_dynamic_patch", int), config.take("max_dynamic_patch", int)
    thumbnail, tiled = (config.take(key, bool) for key in ("use_thumbnail", "dynamic_image_size"))
    pixels = IMAGENET.model_copy(update={"backend": "pillow"})
    with refusing("internvl_original"):
        if not tiled:
            return FixedSpec(size=side, pixels=pixels, video=ALL)
        return TilingSpec(
            tile=side,
            min_tiles=least,
            max_tiles=most,
            thumbnail=thumbnail,
            pixels=pixels,
            video=ALL,
        )


def _prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec, text: TextFamily
) -> tuple[PromptSpec, tuple[str, ...]]:
    """By the template that config.json names; its end of turn ends an answer."""
    nested = {**text.defaults, **(checkpoint.config.get("llm_config") or {})}
    written, tokens = read_text_prompt(checkpoint, nested), read_tokens(checkpoint)
    name, notes = config.take("template", str, ""), list[str]()
    if name in TEMPLATES:
        end = tokens.id_of("<|im_end|>")
        stops = written.stop_ids if end is None else (end,)
        written = replace(written, template=TEMPLATES[name], stop_ids=stops)
    else:
        notes += [f"template {name!r} is not known: the folder's own is used"]
    token_id = tokens.id_of(CONTEXT)
    if token_id is None:
        token_id = language.vocab - 1
        notes += [f"no {CONTEXT} in the folder: the last id is taken for it"]
    image, more = image_tokens(checkpoint, token_id)
    prompt, last = image_prompt(written, image=image, vocab=language.vocab, fallback="chatml")
    chosen = {"frames": FIRST_FRAMES, "grounding": "internvl"}
    return prompt.model_copy(update=chosen), (*notes, *more, *last)
