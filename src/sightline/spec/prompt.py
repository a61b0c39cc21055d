"""How a conversation becomes token ids."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError


class BuiltinTemplate(Spec):
    """A conversation format that ships with us, by name."""

    kind: Literal["builtin"] = "builtin"
    name: Literal[
        "chatml",
        "vicuna",
        "llama2",
        "llama3",
        "mistral",
        "gemma",
        "gemma3",
        "paligemma",
        "phi",
        "plain",
    ]


class JinjaTemplate(Spec):
    """The checkpoint's own chat template, run in a sandbox."""

    kind: Literal["jinja"] = "jinja"
    source: str = Field(min_length=1)


TemplateSpec = Annotated[BuiltinTemplate | JinjaTemplate, Field(discriminator="kind")]

GroundingStyle = Literal[
    "none",
    "percent",
    "shikra",
    "cogvlm",
    "qwen1",
    "qwen",
    "pixels",
    "json",
    "internvl",
    "paligemma",
    "molmo",
]


TokenId = Annotated[int, Field(ge=0)]


class ImageTokenSpec(Spec):
    """The placeholder: its text in templates and the id it has in the sequence.

    `before` and `after` are special tokens put around the placeholders of one picture, `around`
    the words before and after all of these, which are read as one with the text beside them.
    `text_id` is the id of `text` where templates write another token than the sequence has
    (Gemma 3's <start_of_image>).
    """

    text: str = Field(default="<image>", min_length=1)
    id: TokenId
    before: tuple[TokenId, ...] = ()
    after: tuple[TokenId, ...] = ()
    around: tuple[str, str] = ("", "")
    text_id: TokenId | None = None

    @property
    def written_id(self) -> int:
        """The id of what templates write."""
        return self.id if self.text_id is None else self.text_id


class FrameTextSpec(Spec):
    """A clip that is read as pictures: words around the placeholder of each frame.

    `text` is what the template writes for a clip; in its place come `intro`, `frame` for each frame
    that is taken, joined by `between`, and `outro`. They may name {image} (the placeholder, once in
    each frame), {n} (1 for the first frame), {time} (mm:ss of the frame), {count} and {count_words}
    (frames taken), and {duration} (h:mm:ss of the clip).
    """

    text: str = Field(default="<video>", min_length=1)
    intro: str = ""
    frame: str = "Frame{n}: {image}"
    between: str = ""
    outro: str = ""

    @model_validator(mode="after")
    def _fields_are_known(self) -> FrameTextSpec:
        for name in ("intro", "frame", "between", "outro"):
            self._check(name, getattr(self, name))
        if self.frame.count("{image}") != 1:
            raise SpecError("frame", f"{self.frame!r} has not one {{image}}", "write it once")
        return self

    def _check(self, name: str, text: str) -> None:
        known = ["n", "time", "image"] if name == "frame" else ["count", "count_words", "duration"]
        found = re.findall(r"[{]([^{}]*)[}]|([{}])", text)
        for field, brace in found:
            if brace or field not in known:
                raise SpecError(name, f"{text!r} has {brace or field!r}", f"use {known}")


class PromptSpec(Spec):
    """Template, placeholders, ids that end an answer, and how geometry is written.

    `video` is the placeholder of clips; a model that reads a clip as pictures has `frames` instead,
    and one with neither reads no clips.

    `bos_id` None means that nothing is added; a template that writes it itself is not doubled.
    `content_tokens` are added tokens that content may spell, beside those of the grounding style;
    no other is recognised in it.
    """

    template: TemplateSpec = BuiltinTemplate(name="chatml")
    image: ImageTokenSpec
    video: ImageTokenSpec | None = None
    frames: FrameTextSpec | None = None
    bos_id: TokenId | None = None
    stop_ids: tuple[TokenId, ...] = ()
    pad_id: TokenId = 0
    grounding: GroundingStyle = "none"
    content_tokens: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way_to_read_clips(self) -> PromptSpec:
        if self.video is not None and self.frames is not None:
            raise SpecError("frames", "stands beside a placeholder for clips", "give one of them")
        if self.clip_text == self.image.text:
            raise SpecError("video.text", f"{self.clip_text!r} is the picture's", "give another")
        return self

    @property
    def clip_text(self) -> str | None:
        """What the template writes for a clip; None for a model that reads none."""
        reader = self.video or self.frames
        return None if reader is None else reader.text
