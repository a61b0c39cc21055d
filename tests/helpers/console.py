"""The command line as a user runs it, in this process."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass

import pytest

from sightline.cli import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed and returned."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything on one line."""
        return " ".join(f"{self.out} {self.err}".split())


@dataclass(frozen=True, slots=True)
class Console:
    """Runs `sightline` with arguments."""

    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, *args: object, stdin: str = "") -> Ran:
        self.patch.setattr(sys, "argv", ["sightline", *map(str, args)])
        self.patch.setattr(sys, "stdin", io.StringIO(stdin))
        self.capture.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        found = self.capture.readouterr()
        return Ran(code, found.out, found.err)
