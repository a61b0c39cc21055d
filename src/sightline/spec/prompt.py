"""How a conversation becomes token ids."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.core.config import Spec


class BuiltinTemplate(Spec):
    """A conversation format that ships with us, by name."""

    kind: Literal["builtin"] = "builtin"
    name: Literal["chatml", "vicuna", "llama2", "llama3", "mistral", "gemma", "phi", "plain"]


class JinjaTemplate(Spec):
    """The checkpoint's own chat template, run in a sandbox."""

    kind: Literal["jinja"] = "jinja"
    source: str = Field(min_length=1)


TemplateSpec = Annotated[BuiltinTemplate | JinjaTemplate, Field(discriminator="kind")]

GroundingStyle = Literal[
    "none", "percent", "qwen", "internvl", "paligemma", "shikra", "pixels", "molmo"
]


TokenId = Annotated[int, Field(ge=0)]


class ImageTokenSpec(Spec):
    """The placeholder: its text in templates and the id it has in the sequence.

    `before` and `after` are special tokens put around the placeholders of one picture.
    """

    text: str = Field(default="<image>", min_length=1)
    id: TokenId
    before: tuple[TokenId, ...] = ()
    after: tuple[TokenId, ...] = ()


class PromptSpec(Spec):
    """Template, placeholder, ids that end an answer, and how geometry is written.

    `bos_id` None means that nothing is added; a template that writes it itself is not doubled.
    `content_tokens` are added tokens that content may spell, beside those of the grounding style;
    no other is recognised in it.
    """

    template: TemplateSpec = BuiltinTemplate(name="chatml")
    image: ImageTokenSpec
    bos_id: TokenId | None = None
    stop_ids: tuple[TokenId, ...] = ()
    pad_id: TokenId = 0
    grounding: GroundingStyle = "none"
    content_tokens: tuple[str, ...] = ()
