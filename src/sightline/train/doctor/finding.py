"""What the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sightline.core.errors import SightlineError

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: where, what was found, and what to do about it."""

    level: Level
    field: str
    text: str
    fix: str = ""

    @classmethod
    def of(cls, error: SightlineError, level: Level = "error") -> Finding:
        """What an error says."""
        return cls(level, error.field, error.problem, error.fix)

    def __str__(self) -> str:
        return f"{self.field}: {self.text}{f'; {self.fix}' if self.fix else ''}"
