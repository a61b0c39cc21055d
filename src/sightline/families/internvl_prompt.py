"""How InternVL writes conversations: <img>, placeholders and </img> around ChatML.

Source: OpenGVLab/InternVL conversation.py for the first releases, which name one of its templates
in config.json; transformers 5.23.0's InternVLProcessor for the others.
"""

from __future__ import annotations

from sightline.core.errors import FamilyError
from sightline.families.files import Checkpoint
from sightline.families.tokens import read_tokens
from sightline.spec.prompt import FrameTextSpec, ImageTokenSpec, JinjaTemplate, TemplateSpec

CONTEXT, START, END = "<IMG_CONTEXT>", "<img>", "</img>"
FRAMES = FrameTextSpec(text="<video>", frame="Frame{n}: {image}", between="\n")
FIRST_FRAMES = FrameTextSpec(text="<video>", frame="Frame{n}: {image}\n")
# What the model is told of itself where a conversation has no system message.
OLDER = "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"  # noqa: E501, RUF001
NEWER = "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"  # noqa: E501, RUF001


def image_tokens(checkpoint: Checkpoint, token_id: int) -> tuple[ImageTokenSpec, tuple[str, ...]]:
    """<img>, placeholders, </img>."""
    tokens = read_tokens(checkpoint)
    if tokens.first_free is None:
        note = f"no tokenizer: {START} and {END} are not written around pictures"
        return ImageTokenSpec(text=CONTEXT, id=token_id), (note,)
    start, end = tokens.id_of(START), tokens.id_of(END)
    if start is None or end is None:
        raise FamilyError("tokenizer", f"has no {START} and {END}", "add its files to the folder")
    text = tokens.text_of(token_id) or CONTEXT
    return ImageTokenSpec(text=text, id=token_id, before=(start,), after=(end,)), ()


def with_placeholder(template: TemplateSpec | None, image: str) -> TemplateSpec | None:
    """Templates of some folders write <image> for a picture, which their processor replaces."""
    if not isinstance(template, JinjaTemplate) or image in template.source:
        return template
    return JinjaTemplate(source=template.source.replace("<image>", image))


# ChatML as conversation.py writes it: a system message always, `end` after every turn.
CHAT = """\
{%- if messages[0].role != 'system' -%}
    {{- '<|im_start|>system\\n' + system + end -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + '\\n' -}}
    {%- if message.content is string -%}
        {{- message.content -}}
    {%- else -%}
        {%- for part in message.content -%}
            {%- if part.type == 'text' -%}
                {{- part.text -}}
            {%- elif part.type == 'image' -%}
                {{- image_token + '\\n' -}}
            {%- elif part.type == 'video' -%}
                {{- video_token -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- end -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def chat(system: str, end: str) -> JinjaTemplate:
    """`end` is written as in Jinja."""
    chosen = f"{{%- set system = '{system}' -%}}\n{{%- set end = '{end}' -%}}\n"
    return JinjaTemplate(source=chosen + CHAT)


TEMPLATES = {
    "Hermes-2": chat(OLDER, "<|im_end|>"),
    "internlm2-chat": chat(OLDER, "<|im_end|>"),
    "internvl2_5": chat(NEWER, "<|im_end|>\\n"),
}
