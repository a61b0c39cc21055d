"""timm without torchvision, which has no build for CPUs: stand-ins for what it imports."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NAMES = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.models",
    "torchvision.models.feature_extraction",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)


class Anything(type):
    """A class each of whose members is such a class again."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class StandIn(ModuleType):
    """A module that has every name."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


def timm_module(name: str) -> Any:
    """A module of timm, such as `timm.models.regnet`; torchvision stays unknown to others."""
    kept = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "torchvision"}
    sys.modules.update({made: StandIn(made) for made in NAMES})
    try:
        return importlib.import_module(name)
    finally:
        for made in NAMES:
            del sys.modules[made]
        sys.modules.update(kept)
