"""IDEFICS, the open Flamingo (model_type idefics): Llama, CLIP-H and a perceiver resampler.

Source: transformers 5.23.0 models/idefics. Rows of new tokens are stored beside those of Llama.
A picture stands between two `<fake_token_around_image>`, neighbours share the one between them.
Differs: the reference hides pictures after an end token in the prompt; no template writes one here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families import clip, llama
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import TowerFamily, refusing
from sightline.families.files import Checkpoint
from sightline.families.idefics_names import cross_rules, decoder_names, resampler_rules
from sightline.families.parts import decoder_rules, read_decoder, read_tower, tower_rules
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.tokens import TokenFacts, read_tokens
from sightline.families.views import HARMLESS as VIEW_KEYS
from sightline.families.views import processor_config, read_pixels
from sightline.spec.connector import ResamplerSpec
from sightline.spec.fusion import CrossAttentionSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import ImageTokenSpec, JinjaTemplate
from sightline.spec.resolution import FixedSpec, PixelSpec
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = llama.DEFAULTS | {
    "additional_vocab_size": 0,
    "alpha_type": "float",
    "cross_layer_interval": 1,
    "qk_layer_norms": False,
    "use_resampler": False,
    "pad_token_id": 0,
}
VISION_DEFAULTS: dict[str, Any] = clip.DEFAULTS | {
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "hidden_act": "gelu",
}
# Initialisation, freezing, and keys that the first release wrote and nothing reads.
HARMLESS = (
    "alpha_initializer alphas_initializer_range cross_layer_activation_function dropout ffn_dim "
    "freeze_lm_head freeze_text_layers freeze_text_module_exceptions freeze_vision_layers "
    "freeze_vision_module_exceptions max_new_tokens word_embed_proj_dim"
).split()
IMAGE, FAKE, END = "<image>", "<fake_token_around_image>", "<end_of_utterance>"
# What the model card of idefics-9b-instruct writes, as IdeficsProcessor joins it.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}"
    "{{ raise_exception('IDEFICS knows no system messages') }}{% endif %}"
    "{{ '\n' if not loop.first else '' }}"
    "{{ 'User:' if message['role'] == 'user' else 'Assistant:' }}"
    "{% if message['content'] is string %}{{ ' ' + message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}"
    "{% if loop.first or loop.previtem['type'] != 'image' %}{{ '" + FAKE + "' }}{% endif %}"
    "{{ image_token + '" + FAKE + "' }}"
    "{% else %}{{ (' ' if loop.first else '') + part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '" + END + "' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '\nAssistant:' }}{% endif %}"
)
FACTS = FamilyFacts(
    name="idefics",
    part="model",
    model_types=("idefics",),
    covers="IDEFICS 9B and 80B, base and instruct",
    proof="tests/parity/test_idefics.py: logits and 32 greedy tokens of transformers 5.23.0",
    resolution=("fixed",),
    connector=("resampler",),
    fusion=("cross_attention",),
    decoders=("llama",),
)


def read_idefics(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    config = Config(checkpoint.config, defaults=DEFAULTS)
    tower, vision, ignored_vision = _vision(config)
    connector = _resampler(config)
    fusion = _fusion(config, vision)
    extra = config.take("additional_vocab_size", int)
    language, ignored = read_decoder(llama.LLAMA, config, HARMLESS)
    language = language.model_copy(update={"vocab": language.vocab + extra})
    family = replace(llama.LLAMA, rules=decoder_names(extra))
    language, text_rules, notes = decoder_rules(family, language, checkpoint, llama.ROOTS[:1])
    rules = (
        *tower_rules(tower, vision, checkpoint, ("model.vision_model.",)),
        *resampler_rules(),
        *cross_rules(fusion),
        *text_rules,
    )
    views, view_notes = _views(checkpoint, vision)
    tokens = read_tokens(checkpoint)
    written = read_text_prompt(checkpoint, {**DEFAULTS, **checkpoint.config})
    if written.template is None:
        written = replace(written, template=JinjaTemplate(source=_template(tokens)))
    if END in tokens.added:
        written = replace(written, stop_ids=(*written.stop_ids, tokens.added[END]))
    image = _image(tokens, language)
    prompt, _ = image_prompt(written, image=image, vocab=language.vocab, fallback="plain")
    return Declared(
        family="idefics",
        resolution=views,
        vision=vision,
        connector=connector,
        fusion=fusion,
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=(*ignored, *ignored_vision),
        notes=(*view_notes, *notes),
    )


def _vision(config: Config) -> tuple[TowerFamily, VitSpec, tuple[str, ...]]:
    """CLIP's tower, its width under another name; every row of the last block, not normed."""
    given = {**config.take("vision_config", dict, {})}
    given["hidden_size"] = given.pop("embed_dim", given.get("hidden_size", 768))
    family = replace(clip.CLIP, defaults=VISION_DEFAULTS, harmless=("vision_model_name",))
    sub = Config(given, where="vision_config", defaults=VISION_DEFAULTS)
    return family, *read_tower(family, sub)


def _resampler(config: Config) -> ResamplerSpec:
    if not config.take("use_resampler", bool):
        raise FamilyError("use_resampler", "is off", "only models with a resampler can be read")
    sub = config.sub("perceiver_config")
    sub.expect("use_resampler", True, False, why="the model's own key counts")
    with refusing("idefics.perceiver_config"):
        spec = ResamplerSpec(
            latents=sub.take("resampler_n_latents", int, 64),
            depth=sub.take("resampler_depth", int, 6),
            heads=sub.take("resampler_n_heads", int, 16),
            head_dim=sub.take("resampler_head_dim", int, 96),
            qk_norm="layer" if sub.take("qk_layer_norms_perceiver", bool, False) else "none",
            activation="relu",
        )
    sub.finish("idefics")
    return spec


def _fusion(config: Config, vision: VitSpec) -> CrossAttentionSpec:
    depth, step = config.take("num_hidden_layers", int), config.take("cross_layer_interval", int)
    if step < 1 or depth % step:
        raise FamilyError(
            "cross_layer_interval", f"{step} does not divide {depth} layers", "mend config.json"
        )
    kinds = {"float": "scalar", "vector": "vector"}
    if (kind := config.take("alpha_type", str)) not in kinds:
        raise FamilyError("alpha_type", f"is {kind!r}", f"known: {', '.join(kinds)}")
    return CrossAttentionSpec.parse(
        {
            "layers": tuple(range(0, depth, step)),
            "qk_norm": "rms" if config.take("qk_layer_norms", bool) else "none",
            "gate": kinds[kind],
            "memory_width": vision.width,
        },
        field="idefics",
    )


def _views(checkpoint: Checkpoint, vision: VitSpec) -> tuple[FixedSpec, tuple[str, ...]]:
    """IdeficsImageProcessor's keys: every picture squashed to one square."""
    data = processor_config(checkpoint)
    config = Config(data, where="preprocessor_config")
    side = config.take("image_size", int, vision.image_size)
    if "size" in config:
        size = config.sub("size")
        side = size.take("height", int)
        size.expect("width", side, why="views are square")
        size.finish("idefics")
    config.expect("image_num_channels", 3, why="pictures have three channels")
    config.expect("do_resize", True, why="every picture is resized")
    spec = FixedSpec(size=side, pixels=read_pixels(config, PixelSpec()))
    config.finish("idefics", VIEW_KEYS)
    return spec, () if data else (f"no processor file: pictures enter at {side} px",)


def _template(tokens: TokenFacts) -> str:
    """Base models have no token that ends an utterance."""
    return TEMPLATE if not tokens.added or END in tokens.added else TEMPLATE.replace(END, "")


def _image(tokens: TokenFacts, language: DecoderSpec) -> ImageTokenSpec:
    """The tokenizer's, or the second of the new rows, where the published folders have it."""
    found = tokens.added.get(IMAGE)
    return ImageTokenSpec(text=IMAGE, id=language.vocab - 1 if found is None else found)
