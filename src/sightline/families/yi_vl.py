"""Yi-VL 6B and 34B: LLaVA's first format with a projector that has norms, and words of its own.

Source: 01-ai/Yi, VL/llava (conversation.py, multimodal_projector/builder.py). Its projector type
ends in `_Norm`; the tower, CLIP H/14 at 448 pixels, lies in a folder inside.
"""

from __future__ import annotations

from pathlib import Path

from sightline.families.config import Config
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily
from sightline.families.files import Checkpoint
from sightline.families.llava_original import NORMED, Release, read_release, read_words
from sightline.families.original_views import read_ratio
from sightline.families.tokens import read_tokens
from sightline.spec.prompt import JinjaTemplate, PromptSpec

PLACEHOLDER, MARK = "<image_placeholder>", "###"
SYSTEM = (
    "This is a chat between an inquisitive human and an AI assistant. Assume the role of the AI "
    "assistant. Read all the images carefully, and respond to the human's questions with "
    "informative, helpful, detailed and polite answers. "
    "这是一个好奇的人类和一个人工智能助手之间的对话。"
    "假设你扮演这个AI助手的角色。"
    "仔细阅读所有的图像，并对人类的问题做出信息丰富、有帮助、详细的和礼貌的回答。"  # noqa: RUF001
)
TEMPLATE = (
    f'{{%- set standard = "{SYSTEM}" -%}}\n'
    + """\
{%- macro say(content) -%}
{%- if content is string -%}
    {{- content -}}
{%- else -%}
    {%- for part in content -%}
        {{- '<image_placeholder>\\n' if part.type == 'image' else part.text -}}
    {%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set told = messages[0].role == 'system' -%}
{{- (say(messages[0].content) if told else standard) + '\\n\\n### ' -}}
{%- for message in (messages[1:] if told else messages) -%}
    {{- 'Assistant: ' if message.role == 'assistant' else 'Human: ' -}}
    {{- say(message.content) + '\\n### ' -}}
{%- endfor -%}
{{- 'Assistant:' if add_generation_prompt -}}
"""
)
FACTS = FamilyFacts(
    name="yi_vl",
    part="model",
    model_types=("llava",),
    covers="Yi-VL 6B and 34B",
    proof="tests/parity/test_yi_vl.py: logits and 32 greedy tokens of CLIP, projector and Llama "
    "of transformers 5.23.0, joined in the test",
    resolution=("fixed",),
    connector=("mlp",),
    fusion=("interleave",),
    decoders=("llama",),
)


def is_yi_vl(checkpoint: Checkpoint) -> bool:
    """Whether the projector is Yi-VL's; else a folder in this format is LLaVA's."""
    return str(checkpoint.config.get("mm_projector_type")).endswith(NORMED)


def read_yi_vl(checkpoint: Checkpoint, tower: Path | None = None) -> Declared:
    """The whole model; see `read_release`."""
    return read_release(checkpoint, tower, Release("yi_vl", read_ratio, _read_prompt))


def _read_prompt(
    checkpoint: Checkpoint, config: Config, text: TextFamily
) -> tuple[PromptSpec, tuple[str, ...]]:
    """An answer ends where the model would start the next turn, if its mark is one token."""
    prompt, notes = read_words(
        checkpoint, config, text, PLACEHOLDER, JinjaTemplate(source=TEMPLATE)
    )
    mark = read_tokens(checkpoint).id_of(MARK)
    stops = prompt.stop_ids if mark is None else (*prompt.stop_ids, mark)
    return prompt.model_copy(update={"stop_ids": stops}), notes
