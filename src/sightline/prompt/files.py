"""Tokenizers in folders: which files say what, and writing them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.core.errors import PromptError
from sightline.prompt import convert
from sightline.prompt.added import AddedToken
from sightline.prompt.qwen_ranks import from_qwen_ranks
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig, read_source

# The class that reads tokenizer.json as it stands; others rebuild it by their own rules.
SAVED_CLASS = "PreTrainedTokenizerFast"
INSTRUCTION = "qformer_tokenizer"
NOT_KEPT = ("auto_map", "legacy", "name_or_path", "tokenizer_class", "tokenizer_file")
LISTS = (
    "added_tokens_decoder",
    "additional_special_tokens",
    "chat_template",
    "extra_special_tokens",
    "model_specific_special_tokens",
)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder: tokenizer.json, or an old form that is converted.

    Old forms: SentencePiece `tokenizer.model` (SigLIP: `spiece.model`), GPT-2's or Qwen2's
    vocab.json and merges.txt (as `tokenizer_class` says), Qwen's qwen.tiktoken. Other `.tiktoken`
    files need a pattern: `convert.from_tiktoken`.
    Raises PromptError where there is no tokenizer or a file is broken.
    """
    config = replace(read_config(folder), instruction=_instruction(folder))
    if (path := folder / "tokenizer.json").is_file():
        return Tokenizer(_text(path), config)
    spm = (folder / name for name in ("tokenizer.model", "spiece.model"))
    if (found := next((path for path in spm if path.is_file()), None)) is not None:
        data = _bytes(found)
        legacy = bool(config.other.get("legacy", True))
        names = convert.spm_names(data) | config.named
        source = convert.from_sentencepiece(data, legacy=legacy)
        return Tokenizer(source, replace(config, named=names))
    if (path := folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return Tokenizer(_from_merges(path, config), config)
    if (path := folder / "qwen.tiktoken").is_file():
        return Tokenizer(from_qwen_ranks(_bytes(path)), config)
    raise PromptError(
        str(folder), "has no tokenizer", "add tokenizer.json, tokenizer.model or vocab.json"
    )


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and, if there is one, chat_template.jinja."""
    config = tokenizer.config
    added = [token.to_json() for token in tokenizer.added]
    other = {key: value for key, value in config.other.items() if key not in NOT_KEPT}
    if config.special:
        other["additional_special_tokens"] = list(config.special)
    fields = other | config.named | {"tokenizer_class": SAVED_CLASS}
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "tokenizer.json", read_source(tokenizer.source) | {"added_tokens": added})
    _write(folder / "tokenizer_config.json", fields)
    if config.instruction is not None:
        save_tokenizer(config.instruction, folder / INSTRUCTION)
    if config.chat_template is not None:
        (folder / "chat_template.jinja").write_text(config.chat_template, encoding="utf-8")


def _instruction(folder: Path) -> Tokenizer | None:
    """InstructBLIP's second tokenizer, in a folder of its own."""
    return load_tokenizer(folder / INSTRUCTION) if (folder / INSTRUCTION).is_dir() else None


def read_config(folder: Path) -> TokenizerConfig:
    """What the files beside the vocabulary say. Raises PromptError for a broken one."""
    fields = _json(folder / "special_tokens_map.json") | _json(folder / "tokenizer_config.json")
    try:
        named, special = _named(fields), _special(fields)
        added = _declared(folder, fields)
    except (TypeError, KeyError, ValueError, AttributeError):
        problem, fix = "lists tokens in an unknown form", "check the file"
        raise PromptError("tokenizer_config.json", problem, fix) from None
    template = _chat_template(folder, fields)
    other = {k: v for k, v in fields.items() if k not in named and k not in LISTS}
    return TokenizerConfig(named, special, added, template, other)


def _named(fields: Mapping[str, Any]) -> dict[str, str]:
    """bos_token, eos_token, ... and the tokens that a model names itself (image_token)."""
    named = {key: value for key, value in fields.items() if key.endswith("_token")}
    for more in ("model_specific_special_tokens", "extra_special_tokens"):
        named |= extra if isinstance(extra := fields.get(more), dict) else {}
    return {key: text for key, value in named.items() if (text := _token_text(value))}


def _special(fields: Mapping[str, Any]) -> tuple[str, ...]:
    listed = [*(fields.get("additional_special_tokens") or ())]
    listed += extra if isinstance(extra := fields.get("extra_special_tokens"), list) else []
    return tuple(text for value in listed if (text := _token_text(value)))


def _declared(folder: Path, fields: Mapping[str, Any]) -> tuple[AddedToken, ...]:
    """Added tokens of tokenizer_config.json or, beside an old vocabulary, added_tokens.json."""
    listed = fields.get("added_tokens_decoder") or {}
    if not listed and not (folder / "tokenizer.json").is_file():
        old = _json(folder / "added_tokens.json")
        listed = {id_: {"content": text} for text, id_ in old.items()}
    tokens = [AddedToken.from_json(data | {"id": id_}) for id_, data in listed.items()]
    return tuple(sorted(tokens, key=lambda token: token.id))


def _chat_template(folder: Path, fields: Mapping[str, Any]) -> str | None:
    """The processor's template before the tokenizer's, files of their own before fields."""
    if (path := folder / "chat_template.jinja").is_file():
        return _text(path)
    for name in ("chat_template.json", "processor_config.json"):
        if template := _json(folder / name).get("chat_template"):
            return _default_template(template, name)
    template = fields.get("chat_template")
    return _default_template(template, "tokenizer_config.json") if template else None


def _default_template(template: object, file: str) -> str:
    if isinstance(template, list):  # older files: [{"name": "default", "template": ...}, ...]
        template = {entry.get("name"): entry.get("template") for entry in template}
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        problem = "has no chat template named 'default'"
        raise PromptError(file, problem, "name one of its templates 'default'")
    return template


def _from_merges(path: Path, config: TokenizerConfig) -> str:
    vocab, merges = _text(path), _text(path.with_name("merges.txt"))
    match config.other.get("tokenizer_class"):
        case "GPT2Tokenizer" | "GPT2TokenizerFast" | None:
            return convert.from_gpt2(vocab, merges)
        case "Qwen2Tokenizer" | "Qwen2TokenizerFast":
            return convert.from_qwen(vocab, merges)
        case other:
            problem = f"is {other}, whose vocab.json cannot be read without its code"
            fix = "save the tokenizer as tokenizer.json with its own library"
            raise PromptError("tokenizer_class", problem, fix)


def _token_text(value: object) -> str | None:
    """A token is written as its text or as an object with `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        data = json.loads(_text(path))
    except ValueError as error:
        raise PromptError(str(path), f"is not JSON ({error})", "check the file") from None
    if not isinstance(data, dict):
        raise PromptError(str(path), f"holds a {type(data).__name__}", "it must be an object")
    return data


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError:
        raise PromptError(str(path), "is not UTF-8 text", "check the file") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PromptError(str(path), f"cannot be read ({error.strerror})", "check it") from None


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
