"""Idefics3, SmolVLM and SmolVLM2 (model_type idefics3 and smolvlm): rows of tiles, pixel shuffle.

Source: transformers 5.23.0 models/idefics3 and models/smolvlm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.families import llama
from sightline.families.clip import common_rules, read_common
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import refusing
from sightline.families.files import Checkpoint
from sightline.families.idefics3_views import read_rows, with_tags
from sightline.families.paligemma import placeholder
from sightline.families.parts import decoder_rules, read_decoder
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.siglip import DEFAULTS as SIGLIP_DEFAULTS
from sightline.families.tokens import read_tokens
from sightline.spec.connector import PixelShuffleSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import FrameTextSpec, JinjaTemplate, PromptSpec, TemplateSpec
from sightline.spec.rules import Rename, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "image_token_id": 128257,
    "scale_factor": 2,
    "tie_word_embeddings": False,
    "pad_token_id": 128002,
}
VISION_DEFAULTS: dict[str, Any] = SIGLIP_DEFAULTS | {
    "hidden_size": 1152,
    "num_attention_heads": 16,
    "patch_size": 32,
}
TEXT: dict[str, Any] = {"rms_norm_eps": 1e-5}  # where config.json has no text_config
# What the first releases wrote of their training code, and nothing reads.
HARMLESS = ("_pad_token_id", "image_seq_len", "vocab_size")
TEXT_HARMLESS = ("neftune_noise_alpha", "perceiver_config", "pixel_shuffle_factor")
VISION_HARMLESS = ("max_image_size", "size", "tie_word_embeddings", "use_base_siglip")
# What the processor writes of a conversation with a clip, and the first releases of any.
CHAT = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}"
    "{% elif line['type'] == 'video' %}{{ '<video>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
# The reference writes a conversation with a clip by its own template, whatever the folder has.
EITHER = (
    "{{% set seen = namespace(clip=false) %}}{{% for message in messages %}}"
    "{{% for line in message['content'] if message['content'] is not string %}}"
    "{{% if line['type'] == 'video' %}}{{% set seen.clip = true %}}{{% endif %}}"
    "{{% endfor %}}{{% endfor %}}{{% if seen.clip %}}{clip}{{% else %}}{own}{{% endif %}}"
)
FRAMES = FrameTextSpec(
    text="<video>",
    intro="You are provided the following series of {count_words} frames from a {duration} "
    "[H:MM:SS] video.\n",
    frame="\nFrame from {time}:{image}",
    outro="\n\n",
)
PROOF = (
    "tests/parity/test_idefics3.py: logits, 32 greedy tokens, ids, tiles and pixels of "
    "transformers 5.23.0"
)
FACTS = FamilyFacts(
    name="idefics3",
    part="model",
    model_types=("idefics3",),
    covers="Idefics3 8B and SmolVLM's first release",
    proof=f"{PROOF}, two dialects",
    resolution=("rows",),
    connector=("pixel_shuffle",),
    fusion=("interleave",),
    decoders=("llama",),
)
SMOLVLM_FACTS = FamilyFacts(
    name="smolvlm",
    part="model",
    model_types=("smolvlm",),
    covers="SmolVLM and SmolVLM2, 256M, 500M and 2.2B",
    proof=f"{PROOF}, pictures and clips",
    resolution=("rows",),
    connector=("pixel_shuffle",),
    fusion=("interleave",),
    decoders=("llama",),
    video="frames as pictures, one tile each, behind their times",
)


def read_idefics3(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    return _read(checkpoint, "idefics3", clips=False)


def read_smolvlm(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    return _read(checkpoint, "smolvlm", clips=True)


def _read(checkpoint: Checkpoint, family: str, *, clips: bool) -> Declared:
    config = Config(checkpoint.config, defaults=DEFAULTS)
    vision, ignored_vision = _vision(config, family)
    language, ignored_text = _language(config)
    language, text_rules, tie_notes = decoder_rules(
        llama.LLAMA, language, checkpoint, (("model.text_model.", "lm_head."),)
    )
    rules = (
        *under(common_rules(), disk="model.vision_model."),
        Rename("model.connector.modality_projection.proj.{p}", "connector.layers.0.{p}"),
        *text_rules,
    )
    with refusing(family):
        connector = PixelShuffleSpec(
            side=config.take("scale_factor", int), norm="none", depth=1, bias=False
        )
    prompt, prompt_notes = _prompt(checkpoint, config, language, clips=clips)
    views, view_notes = read_rows(checkpoint, vision.position_side, family, clips=clips)
    views, tag_notes = with_tags(checkpoint, views, prompt.image.text, family)
    return Declared(
        family=family,
        resolution=views,
        vision=vision,
        connector=connector,
        language=language,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=(*config.finish(family, HARMLESS), *ignored_vision, *ignored_text),
        notes=(*view_notes, *tag_notes, *prompt_notes, *tie_notes),
    )


def _vision(config: Config, family: str) -> tuple[VitSpec, tuple[str, ...]]:
    sub = config.sub("vision_config", VISION_DEFAULTS)
    types = (f"{family}_vision", family, "idefics3_vision", "idefics3", None)
    sub.expect("model_type", *types, why="the tower is SigLIP's with positions by fraction")
    with refusing(family):
        spec = VitSpec(**read_common(sub), positions="buckets", post_norm="applied")
    return spec, sub.finish(family, VISION_HARMLESS)


def _language(config: Config) -> tuple[DecoderSpec, tuple[str, ...]]:
    """Whether the head is tied is said at the top alone."""
    given = config.take("text_config", dict, TEXT)
    sub = Config(given, where="text_config", defaults=llama.DEFAULTS)
    sub.expect("model_type", "llama", None, why="the text model is Llama here")
    for key in ("qk_layer_norms", "rope_interleaved", "use_resampler"):
        sub.expect(key, False, None, why="the reference has no such thing")
    spec, ignored = read_decoder(llama.LLAMA, sub, TEXT_HARMLESS)
    tied = config.take("tie_word_embeddings", bool)
    return spec.model_copy(update={"tied_head": tied}), ignored


def _prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec, *, clips: bool
) -> tuple[PromptSpec, tuple[str, ...]]:
    nested = {**llama.DEFAULTS, **(checkpoint.config.get("text_config") or {})}
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    notes = () if written.template else ("no chat template in the folder: SmolVLM's is used",)
    written = replace(written, template=_template(written.template, clips=clips))
    image = placeholder(checkpoint, config, read_tokens(checkpoint), language.vocab)
    prompt, more = image_prompt(written, image=image, vocab=language.vocab, fallback="plain")
    return prompt.model_copy(update={"frames": FRAMES if clips else None}), (*notes, *more)


def _template(own: TemplateSpec | None, *, clips: bool) -> TemplateSpec:
    if not isinstance(own, JinjaTemplate):
        return JinjaTemplate(source=CHAT.replace("<|im_start|>", "{{ bos_token }}"))
    if not clips or own.source == CHAT:
        return own
    return JinjaTemplate(source=EITHER.format(clip=CHAT, own=own.source))
