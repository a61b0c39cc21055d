"""From tokenizer_config.json, generation_config.json and template files to prompt settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sightline.families.declared import TextPrompt
from sightline.families.files import Checkpoint
from sightline.families.tokens import TokenFacts, read_tokens
from sightline.spec.prompt import (
    BuiltinTemplate,
    ImageTokenSpec,
    JinjaTemplate,
    PromptSpec,
    TemplateSpec,
)

Builtin = Literal[
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


def read_text_prompt(checkpoint: Checkpoint, *configs: Mapping[str, Any]) -> TextPrompt:
    """`configs` are asked in order for ids that generation_config.json does not state."""
    tokens = read_tokens(checkpoint)
    asked = (checkpoint.json("generation_config.json"), *configs)
    stops = _ids(_first(asked, "eos_token_id")) or _ids(tokens.id_of(tokens.eos))
    pad = _ids(_first(asked, "pad_token_id")) or _ids(tokens.id_of(tokens.pad)) or stops
    bos = _ids(tokens.id_of(tokens.bos)) or _ids(_first(asked, "bos_token_id"))
    return TextPrompt(
        template=read_template(checkpoint),
        bos_id=bos[0] if bos and tokens.adds_bos else None,
        stop_ids=stops,
        pad_id=pad[0] if pad else None,
        tokens=tokens.first_free,
        added=tokens.added,
    )


def image_prompt(
    text: TextPrompt,
    *,
    image: ImageTokenSpec,
    vocab: int,
    fallback: Builtin,
) -> tuple[PromptSpec, tuple[str, ...]]:
    """A prompt with pictures; where the folder has no template, the builtin `fallback`."""
    notes = () if text.template else (f"no chat template in the folder: {fallback} is used",)
    pad = text.pad_id if text.pad_id is not None and text.pad_id < vocab else 0
    stops = tuple(stop for stop in text.stop_ids if stop < vocab)
    prompt = PromptSpec(
        template=text.template or BuiltinTemplate(name=fallback),
        image=image,
        bos_id=text.bos_id,
        stop_ids=stops,
        pad_id=pad,
    )
    return prompt, notes


def image_text(checkpoint: Checkpoint, tokens: TokenFacts, token_id: int) -> str:
    """The placeholder's text: the tokenizer's for its id, else the processor's."""
    stated = checkpoint.json("processor_config.json").get("image_token")
    return tokens.text_of(token_id) or (stated if isinstance(stated, str) else "<image>")


def read_template(checkpoint: Checkpoint) -> TemplateSpec | None:
    """The folder's chat template: of the processor, else of the tokenizer."""
    candidates = (
        checkpoint.text("chat_template.jinja"),
        checkpoint.json("chat_template.json").get("chat_template"),
        checkpoint.json("processor_config.json").get("chat_template"),
        checkpoint.json("tokenizer_config.json").get("chat_template"),
    )
    for candidate in candidates:
        if isinstance(candidate, list):  # several, by name
            named = {entry["name"]: entry["template"] for entry in candidate}
            candidate = named.get("default")
        if isinstance(candidate, str) and candidate:
            return JinjaTemplate(source=candidate)
    return None


def _first(configs: tuple[Mapping[str, Any], ...], key: str) -> Any:
    return next((c[key] for c in configs if c.get(key) is not None), None)


def _ids(value: Any) -> tuple[int, ...]:
    """Ids written as one number or as a list; negative ones mean none."""
    values = value if isinstance(value, list) else [value]
    return tuple(v for v in values if type(v) is int and v >= 0)
