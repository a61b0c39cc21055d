"""How LLaVA and its descendants in Hugging Face's format write a conversation."""

from __future__ import annotations

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import TextFamily, refusing
from sightline.families.files import Checkpoint
from sightline.families.prompts import Builtin, image_prompt, image_text, read_text_prompt
from sightline.families.tokens import read_tokens
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import ImageTokenSpec, PromptSpec

TEMPLATES: dict[str, Builtin] = {
    "llama": "vicuna",
    "mistral": "mistral",
    "qwen2": "chatml",
    "qwen3": "chatml",
    "gemma": "gemma",
}


def read_prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec, text: TextFamily
) -> tuple[PromptSpec, tuple[str, ...]]:
    """Template and ids, with the placeholder that config.json names."""
    token_id = _token_id(config, "image")
    if not 0 <= token_id < language.vocab:
        raise FamilyError(
            "image_token_id" if "image_token_id" in config else "image_token_index",
            f"{token_id} is outside the vocabulary of {language.vocab}",
            "mend config.json",
        )
    nested = {**text.defaults, **(checkpoint.config.get("text_config") or {})}
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    image = ImageTokenSpec(
        text=image_text(checkpoint, read_tokens(checkpoint), token_id), id=token_id
    )
    return image_prompt(written, image=image, vocab=language.vocab, fallback=TEMPLATES[text.name])


def with_video(checkpoint: Checkpoint, config: Config, prompt: PromptSpec) -> PromptSpec:
    """The prompt with the placeholder of clips."""
    token_id = _token_id(config, "video")
    if token_id == prompt.image.id:
        problem = f"{token_id} is the picture's placeholder, too"
        raise FamilyError("video_token_index", problem, "mend config.json")
    text = read_tokens(checkpoint).text_of(token_id) or "<video>"
    video = ImageTokenSpec(text=text, id=token_id)
    with refusing("video"):
        return PromptSpec.parse(prompt.model_dump() | {"video": video.model_dump()})


def _token_id(config: Config, kind: str) -> int:
    """5.x spells `image_token_id` in some configs, all others `image_token_index`."""
    key = f"{kind}_token_id" if f"{kind}_token_id" in config else f"{kind}_token_index"
    config.maybe(f"{kind}_token_index", int)
    return config.take(key, int)
