"""Whole models by the model_type of their config.json, as one closed list."""

from __future__ import annotations

from collections.abc import Callable

from sightline.families import llava, llava_original
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.files import Checkpoint
from sightline.families.tables import part_types

Reader = Callable[[Checkpoint], Declared]

MODELS: tuple[tuple[FamilyFacts, Reader], ...] = (
    (llava.FACTS, llava.read_llava),
    (llava_original.FACTS, llava_original.read_llava_original),
)


def reader_of(model_type: object) -> Reader | None:
    """What reads checkpoints of this type; LLaVA's first release is told apart by `read`."""
    return next((read for facts, read in MODELS if model_type in facts.model_types), None)


def known_types() -> tuple[str, ...]:
    """Every model_type that a config may have at its top."""
    return (*(t for facts, _ in MODELS for t in facts.model_types), *part_types())
