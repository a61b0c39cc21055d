"""Conversation formats that ship with us, as Jinja sources that take strings and parts.

Pictures and clips stand where their parts stand, each followed by a newline (LLaVA's habit);
`vicuna` puts them before the words, as llava-1.5-hf does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sightline.prompt.gemma_templates import GEMMA, GEMMA3, PALIGEMMA
from sightline.prompt.template_macros import ALTERNATE, SAY, TAKE_SYSTEM
from sightline.spec.prompt import BuiltinTemplate, JinjaTemplate, TemplateSpec


@dataclass(frozen=True, slots=True)
class Builtin:
    """A format: its Jinja source, the control tokens that it writes beside bos and eos, and the one
    that ends an answer (None: eos). `plain_roles`: roles are ordinary words, so a user who types
    them cannot be told from the template."""

    source: str
    tokens: tuple[str, ...] = ()
    stop: str | None = None
    plain_roles: bool = False


def template_source(spec: TemplateSpec) -> str:
    """The Jinja source that a spec names or holds."""
    match spec:
        case BuiltinTemplate():
            return builtin(spec).source
        case JinjaTemplate():
            return spec.source
        case _:
            assert_never(spec)


def builtin(spec: BuiltinTemplate) -> Builtin:
    """The format of this name."""
    match spec.name:
        case "chatml":
            return Builtin(CHATML, ("<|im_start|>", "<|im_end|>"), stop="<|im_end|>")
        case "vicuna":
            return Builtin(VICUNA, plain_roles=True)
        case "llama2":
            return Builtin(LLAMA2, plain_roles=True)
        case "llama3":
            headers = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
            return Builtin(LLAMA3, headers, stop="<|eot_id|>")
        case "mistral":
            return Builtin(MISTRAL, plain_roles=True)
        case "gemma":
            turns = ("<start_of_turn>", "<end_of_turn>")
            return Builtin(GEMMA, turns, stop="<end_of_turn>")
        case "gemma3":
            turns = ("<start_of_turn>", "<end_of_turn>")
            return Builtin(GEMMA3, turns, stop="<end_of_turn>")
        case "paligemma":
            return Builtin(PALIGEMMA)
        case "phi":
            return Builtin(PHI, plain_roles=True)
        case "plain":
            return Builtin(PLAIN)
        case _:
            assert_never(spec.name)


# OpenAI's ChatML, as Qwen and Yi use it.
CHATML = (
    SAY
    + """\
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + '\\n' + say(message.content) + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
)

# llava-hf/llava-1.5-7b-hf, with the </s> after answers that LLaVA was trained with.
VICUNA = (
    SAY
    + """\
{%- for message in messages -%}
    {%- if message.role != 'system' -%}
        {{- message.role | upper + ': ' -}}
    {%- endif -%}
    {%- if message.content is string -%}
        {{- message.content -}}
    {%- else -%}
        {{- say(message.content | rejectattr('type', 'equalto', 'text')) -}}
        {%- for part in message.content | selectattr('type', 'equalto', 'text') -%}
            {{- ' ' if not loop.first else '' -}}
            {{- part.text -}}
        {%- endfor -%}
    {%- endif -%}
    {{- eos_token if message.role == 'assistant' else ' ' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- 'ASSISTANT:' -}}
{%- endif -%}
"""
)

# meta-llama/Llama-2-7b-chat-hf.
LLAMA2 = (
    SAY
    + TAKE_SYSTEM
    + """\
{%- for message in turns -%}
"""
    + ALTERNATE
    + """\
    {%- if message.role == 'user' -%}
        {%- set words = say(message.content) -%}
        {%- if loop.first and system is not none -%}
            {%- set words = '<<SYS>>\\n' + say(system) + '\\n<</SYS>>\\n\\n' + words -%}
        {%- endif -%}
        {{- bos_token -}}
        {{- '[INST] ' + words.strip() + ' [/INST]' -}}
    {%- else -%}
        {{- ' ' + say(message.content).strip() + ' ' + eos_token -}}
    {%- endif -%}
{%- endfor -%}
"""
)

# meta-llama/Meta-Llama-3-8B-Instruct.
LLAMA3 = (
    SAY
    + """\
{{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' -}}
    {{- say(message.content) | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{%- endif -%}
"""
)

# mistralai/Mistral-7B-Instruct-v0.2; a system prompt opens the first question.
MISTRAL = (
    SAY
    + TAKE_SYSTEM
    + """\
{{- bos_token -}}
{%- for message in turns -%}
"""
    + ALTERNATE
    + """\
    {%- if message.role == 'user' -%}
        {{- '[INST] ' -}}
        {%- if loop.first and system is not none -%}
            {{- say(system) + '\\n\\n' -}}
        {%- endif -%}
        {{- say(message.content) + ' [/INST]' -}}
    {%- else -%}
        {{- ' ' + say(message.content) + eos_token -}}
    {%- endif -%}
{%- endfor -%}
"""
)

# The format of the microsoft/phi-2 card, with eos after answers.
PHI = (
    SAY
    + """\
{%- for message in messages -%}
    {%- if message.role == 'assistant' -%}
        {{- 'Output: ' + say(message.content) + eos_token + '\\n' -}}
    {%- else -%}
        {{- 'Instruct: ' if message.role == 'user' else '' -}}
        {{- say(message.content) + '\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- 'Output:' -}}
{%- endif -%}
"""
)

# No roles: pictures, then words (base models, LLaVA's alignment stage).
PLAIN = """\
{%- for message in messages -%}
    {%- if message.content is string -%}
        {{- message.content -}}
        {%- set said = true -%}
    {%- else -%}
        {%- for part in message.content | rejectattr('type', 'equalto', 'text') -%}
            {{- image_token if part.type == 'image' else video_token -}}
        {%- endfor -%}
        {%- set said = message.content | selectattr('type', 'equalto', 'text') | list -%}
        {%- for part in said -%}
            {{- part.text -}}
        {%- endfor -%}
    {%- endif -%}
    {%- if message.role == 'assistant' -%}
        {{- eos_token -}}
    {%- elif said -%}
        {{- '\\n' -}}
    {%- endif -%}
{%- endfor -%}
"""
