"""What must be equal for two runs to see the same pixels and the same tokens (promise 2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, assert_never

from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.model import ModelSpec
from sightline.spec.pair import PairSpec
from sightline.spec.resolution import PixelSpec


def fingerprint(spec: ModelSpec | PairSpec, tokenizer: Tokenizer) -> dict[str, str]:
    """SHA-256 of the spec (template and preprocessing included) and of the tokenizer, and the
    library whose version decides about pixels."""
    return {
        "spec": _digest(spec.model_dump_json()),
        "tokenizer": _digest(json.dumps(_words(tokenizer))),
        "pixels": resampler(spec.resolution.pixels),
    }


def _words(tokenizer: Tokenizer) -> list[Any]:
    """What decides about ids, with the vocabulary of a connector behind if there is one."""
    own = [tokenizer.source, sorted(token.text for token in tokenizer.added)]
    instruction = tokenizer.config.instruction
    return own if instruction is None else [*own, _words(instruction)]


def resampler(pixels: PixelSpec) -> str:
    """The library that resizes, with its version: `pillow 13.0.0`."""
    match pixels.backend:
        case "torch":
            return f"torch {version('torch').partition('+')[0]}"
        case "pillow":
            return f"pillow {version('pillow')}"
        case _:
            assert_never(pixels.backend)


def differences(stored: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """One sentence per part of the fingerprint that is not what it was when the folder was made."""
    return tuple(
        f"{name} is {now[name][:12]}, the folder was made with {was[:12]}: answers may differ"
        for name, was in stored.items()
        if name in now and now[name] != was
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
