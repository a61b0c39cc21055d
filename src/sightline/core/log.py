"""Consoles: answers go to standard output, everything else to standard error."""

from __future__ import annotations

from rich.console import Console


def output() -> Console:
    """For results."""
    return Console(highlight=False, emoji=False)


def messages(*, quiet: bool = False) -> Console:
    """For progress, notes and errors."""
    return Console(stderr=True, highlight=False, emoji=False, quiet=quiet)
