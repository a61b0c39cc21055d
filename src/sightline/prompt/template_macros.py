"""Pieces of Jinja that several formats share."""

from __future__ import annotations

SAY = """\
{%- macro say(content) -%}
{%- if content is string -%}
    {{- content -}}
{%- else -%}
    {%- for part in content -%}
        {%- if part.type == 'text' -%}
            {{- part.text -}}
        {%- elif part.type == 'image' -%}
            {{- image_token + '\\n' -}}
        {%- elif part.type == 'video' -%}
            {{- video_token + '\\n' -}}
        {%- endif -%}
    {%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""

ALTERNATE = """\
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('roles must alternate user/assistant/user/assistant/...') -}}
    {%- endif -%}
"""

TAKE_SYSTEM = """\
{%- set system = messages[0].content if messages[0].role == 'system' else none -%}
{%- set turns = messages if system is none else messages[1:] -%}
"""
