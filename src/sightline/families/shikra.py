"""Shikra 7B: LLaVA's first format with one matrix, padding in white and boxes in plain text.

Source: shikras/shikra (mllm/models/shikra, config/_base_/model/shikra.py). Pictures stand in the
text where the user puts them, between `<im_start>` and `<im_end>`. Coordinates are fractions of
the square that a picture is padded to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sightline.families.config import Config
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily
from sightline.families.files import Checkpoint
from sightline.families.llava_original import Release, read_release
from sightline.families.original_tower import Tower
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.tokens import read_tokens
from sightline.spec.prompt import ImageTokenSpec, JinjaTemplate, PromptSpec
from sightline.spec.resolution import FixedSpec
from sightline.spec.vision import VitSpec

WHITE = (255, 255, 255)
PATCH, START, END = "<im_patch>", "<im_start>", "<im_end>"
TEMPLATE = """\
{%- macro say(content) -%}
{%- if content is string -%}
    {{- content -}}
{%- else -%}
    {%- for part in content -%}
        {{- '<im_patch>' if part.type == 'image' else part.text -}}
    {%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set told = messages[0].role == 'system' -%}
{{- say(messages[0].content) if told else 'A chat between a curious user and an artificial \
intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user\\'s \
questions.' -}}
{{- ' ' -}}
{%- for message in (messages[1:] if told else messages) -%}
    {%- if message.role == 'assistant' -%}
        {{- 'ASSISTANT: ' + say(message.content) + '</s>' -}}
    {%- else -%}
        {{- 'USER: ' + say(message.content) + ' ' -}}
    {%- endif -%}
{%- endfor -%}
{{- 'ASSISTANT:' if add_generation_prompt -}}
"""
FACTS = FamilyFacts(
    name="shikra",
    part="model",
    model_types=("shikra",),
    covers="Shikra 7B",
    proof="tests/parity/test_shikra.py: logits and 32 greedy tokens of CLIP, its matrix and Llama "
    "of transformers 5.23.0, joined in the test",
    resolution=("fixed",),
    connector=("linear",),
    fusion=("interleave",),
    decoders=("llama",),
    grounding="shikra",
)


def read_shikra(checkpoint: Checkpoint, tower: Path | None = None) -> Declared:
    """The whole model; see `read_release`."""
    return read_release(checkpoint, tower, Release("shikra", _read_views, _read_prompt))


def _read_views(config: Config, tower: Tower, vision: VitSpec) -> FixedSpec:
    del config
    pixels = tower.family.views(vision.position_side).pixels
    white = pixels.model_copy(update={"around": WHITE})
    return FixedSpec(size=vision.position_side, fit="pad", pixels=white)


def _read_prompt(
    checkpoint: Checkpoint, config: Config, text: TextFamily
) -> tuple[PromptSpec, tuple[str, ...]]:
    """The three tokens are the last of the vocabulary, unless the tokenizer says otherwise."""
    config.expect("mm_use_im_start_end", True, why="pictures stand between two tokens")
    tokens, vocab = read_tokens(checkpoint), config.take("vocab_size", int)
    last = {name: vocab - 3 + i for i, name in enumerate((PATCH, START, END))}
    patch, start, end = (
        last[name] if (found := tokens.id_of(name)) is None else found for name in last
    )
    image = ImageTokenSpec(text=PATCH, id=patch, before=(start,), after=(end,))
    written = read_text_prompt(checkpoint, {**text.defaults, **checkpoint.config})
    written = replace(written, template=written.template or JinjaTemplate(source=TEMPLATE))
    prompt, notes = image_prompt(written, image=image, vocab=vocab, fallback="vicuna")
    return prompt.model_copy(update={"grounding": "shikra"}), notes
