"""How BLIP-2, InstructBLIP and CogVLM are asked where the folder has no template.

The pictures of the whole conversation come first: before bos, in CogVLM after it. `BOS` stands for
the expression that writes bos, which a tokenizer without one leaves out.
"""

_SAY = """\
{%- macro say(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for part in content | selectattr('type', 'equalto', 'text') -%}
            {{- part.text -}}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
"""
_SHOW = """\
{%- for message in messages if message.content is not string -%}
    {%- for part in message.content | selectattr('type', 'equalto', 'image') -%}
        {{- image_token -}}
    {%- endfor -%}
{%- endfor -%}
"""
PICTURES = _SAY + _SHOW + "{{- BOS -}}\n"
BOS_FIRST = _SAY + "{{- BOS -}}\n" + _SHOW
# LAVIS: earlier turns as "Question: ... Answer: ... ."; a picture alone asks for a caption, and a
# new line ends an answer.
QUESTIONS = (
    PICTURES
    + """\
{%- set turn = namespace(asked=false) -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- raise_exception('System role not supported') -}}
    {%- elif message.role == 'user' -%}
        {%- set words = message.content is string
            or message.content | selectattr('type', 'equalto', 'text') | list -%}
        {{- 'Question: ' + say(message.content) if words else '' -}}
        {{- ' Answer:' if words and loop.last and add_generation_prompt else '' -}}
        {%- set turn.asked = words -%}
    {%- else -%}
        {{- (' Answer: ' if turn.asked else '') + say(message.content) -}}
        {{- '\\n' if loop.last else '. ' -}}
    {%- endif -%}
{%- endfor -%}
"""
)

# The words as they are, an answer after a space; LAVIS knows one turn, further ones get a line.
WORDS = (
    PICTURES
    + """\
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- raise_exception('System role not supported') -}}
    {%- elif message.role == 'user' -%}
        {{- ('' if loop.first else '\\n') + say(message.content) -}}
    {%- else -%}
        {{- ' ' + say(message.content) + eos_token -}}
    {%- endif -%}
{%- endfor -%}
"""
)
# CogVLM: bos, the picture, then the words as the config's `template_version` has them.
ASKED = {
    "base": ("", ""),
    "chat": ("Question: ", " Answer:"),
    "vqa": ("Question: ", " Short answer:"),
}
COGVLM = (
    BOS_FIRST
    + """\
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- raise_exception('System role not supported') -}}
    {%- elif message.role == 'user' -%}
        {{- 'QUESTION' + say(message.content) + 'ANSWER' -}}
    {%- else -%}
        {{- ' ' + say(message.content) + (eos_token if loop.last else '\\n') -}}
    {%- endif -%}
{%- endfor -%}
"""
)
