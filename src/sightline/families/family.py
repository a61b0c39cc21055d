"""What a family table offers: a reader, rules and a writer, as plain functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sightline.core.errors import FamilyError, SpecError
from sightline.families.config import Config
from sightline.spec.language import DecoderSpec
from sightline.spec.layers import Activation
from sightline.spec.resolution import FixedSpec
from sightline.spec.rules import Rule
from sightline.spec.vision import VitSpec

Part = Literal["model", "vision", "language"]

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
    "swish": "silu",
}


@dataclass(frozen=True, slots=True)
class TextFamily:
    """Text models of one architecture.

    `defaults` are the reference class's values for keys left out, `harmless` its keys without
    effect. `rules(spec, body, head)` are the rules below the prefixes of the stack and of the
    head; `roots` are the (body, head) prefixes it is found under, `anchor` its embedding below
    body. `write` makes a config.json that `read` turns into the same spec, if the family can
    express the spec at all; None if it is never written.
    """

    name: str
    model_types: tuple[str, ...]
    architecture: str
    defaults: Mapping[str, Any]
    read: Callable[[Config], DecoderSpec]
    rules: Callable[[DecoderSpec, str, str], tuple[Rule, ...]]
    anchor: str
    roots: tuple[tuple[str, str], ...]
    proof: str
    harmless: tuple[str, ...] = ()
    write: Callable[[DecoderSpec], dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class TowerFamily:
    """Vision encoders of one architecture.

    `rules(spec)` start at the encoder's own root, `whole` are rules for what a checkpoint of both
    towers holds besides. `views` is how pictures enter where the folder does not say.
    """

    name: str
    model_types: tuple[str, ...]
    whole_types: tuple[str, ...]
    defaults: Mapping[str, Any]
    read: Callable[[Config], VitSpec]
    rules: Callable[[VitSpec], tuple[Rule, ...]]
    anchor: str
    roots: tuple[str, ...]
    views: Callable[[int], FixedSpec]
    proof: str
    harmless: tuple[str, ...] = ()
    whole: tuple[Rule, ...] = ()
    write: Callable[[VitSpec], dict[str, Any]] | None = None


def activation(config: Config, key: str, default: str | None = None) -> Activation:
    """The activation that `key` names. Raises FamilyError for one that is not built."""
    name = config.take(key, str, default)
    if name not in ACTIVATIONS:
        raise FamilyError(
            config.name(key), f"{name!r} is not supported", f"known: {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]


def activation_name(kind: Activation) -> str:
    """The name that transformers has for an activation."""
    return "gelu_pytorch_tanh" if kind == "gelu_tanh" else kind


@contextmanager
def refusing(family: str) -> Iterator[None]:
    """Turn what a spec refuses about the values of a config into a FamilyError."""
    try:
        yield
    except SpecError as error:
        raise FamilyError(
            f"{family}.{error.field}", f"{error.problem} (in config.json)", "mend config.json"
        ) from None
