"""Sightline: vision-language models as one declared object.

    import sightline

    vlm = sightline.load("tiny")
    answer = vlm.ask("receipt.png", "What is the total?")

This page only names the doors. Nothing heavy is imported before one of them is opened, so
`sightline.plan` and the command line's help never wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.api import build, compose, load
    from sightline.core.errors import SightlineError
    from sightline.planner import plan
    from sightline.weights.pair import load_pair

__version__ = "0.1.0"

__all__ = ["SightlineError", "__version__", "build", "compose", "load", "load_pair", "plan"]

_HOMES = {
    "SightlineError": "sightline.core.errors",
    "build": "sightline.api",
    "compose": "sightline.api",
    "load": "sightline.api",
    "load_pair": "sightline.weights.pair",
    "plan": "sightline.planner",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
