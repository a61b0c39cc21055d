"""The fenced blocks of a Markdown page, and whether they are run.

An HTML comment before a fence says what a reader need not see:

    <!-- not run: why -->             checked for its form only
    <!-- with the embedded model -->  left out where the package has none
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
EMBEDDED = ROOT / "src" / "sightline" / "embedded" / "tiny" / "model.safetensors"

_BLOCK = re.compile(
    r"(?:^<!-- *(?P<note>[^\n]*?) *-->\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"not run: \w+ .+")


@dataclass(frozen=True, slots=True)
class Block:
    """One fence: where it stands, what it holds, and the comment before it."""

    page: Path
    line: int
    language: str
    text: str
    note: str = ""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        return not _NOT_RUN.fullmatch(self.note)

    @property
    def wants_model(self) -> bool:
        return self.note == "with the embedded model"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block; comments and blank lines are left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> Iterator[Block]:
    """All fences of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(page, line, found["language"], found["text"], found["note"] or "")


def blocks_of(*languages: str) -> list[Block]:
    """All fences of these languages on all pages."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def prose(page: Path) -> str:
    """The page without its fences."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))
