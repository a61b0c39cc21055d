"""The families that can be read, as one closed list."""

from __future__ import annotations

import difflib
from typing import TypeVar

from sightline.core.errors import FamilyError
from sightline.families.clip import CLIP
from sightline.families.dinov2 import DINOV2, DINOV2_REGISTERS
from sightline.families.eva import EVA
from sightline.families.falcon import FALCON
from sightline.families.family import TextFamily, TowerFamily
from sightline.families.gemma import GEMMA
from sightline.families.gemma2 import GEMMA2
from sightline.families.gemma3_text import GEMMA3_TEXT
from sightline.families.internlm2 import INTERNLM2
from sightline.families.internvit import INTERNVIT, INTERNVIT_HF
from sightline.families.llama import LLAMA, YI
from sightline.families.mistral import MISTRAL
from sightline.families.opt import OPT
from sightline.families.phi import PHI
from sightline.families.qwen import QWEN2, QWEN3
from sightline.families.qwen1 import QWEN1
from sightline.families.siglip import SIGLIP

TOWERS: tuple[TowerFamily, ...] = (
    CLIP,
    SIGLIP,
    DINOV2,
    DINOV2_REGISTERS,
    EVA,
    INTERNVIT,
    INTERNVIT_HF,
)
TEXTS: tuple[TextFamily, ...] = (
    LLAMA,
    YI,
    MISTRAL,
    QWEN1,
    QWEN2,
    QWEN3,
    GEMMA,
    GEMMA2,
    GEMMA3_TEXT,
    PHI,
    FALCON,
    OPT,
    INTERNLM2,
)

F = TypeVar("F", TextFamily, TowerFamily)


def text_family(model_type: object, field: str) -> TextFamily:
    """Raises FamilyError for a text model that is not built."""
    return _by_type(TEXTS, model_type, field)


def tower_family(model_type: object, field: str) -> TowerFamily:
    """Raises FamilyError for a vision tower that is not built."""
    return _by_type(TOWERS, model_type, field)


def whole_tower_family(model_type: object) -> TowerFamily | None:
    """The family whose checkpoints of both towers have this model_type."""
    return next((family for family in TOWERS if model_type in family.whole_types), None)


def part_types() -> tuple[str, ...]:
    """Every model_type of a tower or a text model alone."""
    towers = (t for family in TOWERS for t in (*family.model_types, *family.whole_types))
    return (*towers, *(t for family in TEXTS for t in family.model_types))


def near(model_type: object, known: tuple[str, ...]) -> str:
    """The known types, likely ones first."""
    close = difflib.get_close_matches(str(model_type), known, n=3, cutoff=0.5)
    return f"near: {', '.join(close)}" if close else f"known: {', '.join(known)}"


def _by_type(families: tuple[F, ...], model_type: object, field: str) -> F:
    for family in families:
        if model_type in family.model_types:
            return family
    known = tuple(t for family in families for t in family.model_types)
    raise FamilyError(field, f"{model_type!r} is not supported", near(model_type, known))
