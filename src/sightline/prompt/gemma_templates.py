"""The formats of Gemma 1 to 3 and of PaliGemma, as Jinja sources."""

from __future__ import annotations

from sightline.prompt.template_macros import ALTERNATE, SAY, TAKE_SYSTEM

# google/gemma-7b-it.
GEMMA = (
    SAY
    + """\
{{- bos_token -}}
{%- if messages[0].role == 'system' -%}
    {{- raise_exception('System role not supported') -}}
{%- endif -%}
{%- for message in messages -%}
"""
    + ALTERNATE
    + """\
    {%- set role = 'model' if message.role == 'assistant' else message.role -%}
    {{- '<start_of_turn>' + role + '\\n' + say(message.content) | trim + '<end_of_turn>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<start_of_turn>model\\n' -}}
{%- endif -%}
"""
)

# google/gemma-3-4b-it; a system prompt opens the first question.
GEMMA3 = (
    TAKE_SYSTEM
    + """\
{%- macro say(content) -%}
{%- if content is string -%}
    {{- content | trim -}}
{%- else -%}
    {%- for part in content -%}
        {{- part.text | trim if part.type == 'text' else image_token -}}
    {%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- for message in turns -%}
"""
    + ALTERNATE
    + """\
    {%- set role = 'model' if message.role == 'assistant' else message.role -%}
    {{- '<start_of_turn>' + role + '\\n' -}}
    {%- if loop.first and system is not none -%}
        {{- (system if system is string else system[0].text) + '\\n\\n' -}}
    {%- endif -%}
    {{- say(message.content) + '<end_of_turn>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<start_of_turn>model\\n' -}}
{%- endif -%}
"""
)

# PaliGemmaProcessor: pictures, the first token, the words, a newline; it knows one question.
PALIGEMMA = """\
{%- for message in messages -%}
    {%- if message.role == 'user' and loop.first -%}
        {%- if message.content is string -%}
            {{- bos_token + message.content + '\\n' -}}
        {%- else -%}
            {%- for part in message.content | rejectattr('type', 'equalto', 'text') -%}
                {{- image_token if part.type == 'image' else video_token -}}
            {%- endfor -%}
            {{- bos_token -}}
            {%- for part in message.content | selectattr('type', 'equalto', 'text') -%}
                {{- part.text -}}
            {%- endfor -%}
            {{- '\\n' -}}
        {%- endif -%}
    {%- elif message.role == 'assistant' and loop.index0 == 1 -%}
        {%- if message.content is string -%}
            {{- message.content -}}
        {%- else -%}
            {%- for part in message.content -%}
                {{- part.text -}}
            {%- endfor -%}
        {%- endif -%}
        {{- eos_token -}}
    {%- else -%}
        {{- raise_exception('PaliGemma answers one question, without a system prompt') -}}
    {%- endif -%}
{%- endfor -%}
"""
