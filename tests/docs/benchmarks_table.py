"""The table of benchmarks in docs/evaluation.md: `python -m tests.docs.benchmarks_table` writes it
anew."""

from __future__ import annotations

import re
from pathlib import Path

from sightline.eval.tasks.catalogue import BENCHMARKS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
_PLACE = re.compile(r"(?<=<!-- benchmarks -->\n).*?(?=<!-- /benchmarks -->)", re.DOTALL)
_HEAD = "| name | benchmark | judged by | answer, tokens |\n|---|---|---|---|\n"


def benchmarks_table() -> str:
    """The catalogue as Markdown."""
    return _HEAD + "".join(
        f"| `{one.name}` | {one.title} | {one.metric.name} | {one.max_tokens} |\n"
        for one in BENCHMARKS
    )


def place(text: str) -> tuple[int, int]:
    """Where the table stands in a page, between its marks."""
    found = _PLACE.search(text)
    assert found, "the page has lost its marks <!-- benchmarks --> and <!-- /benchmarks -->"
    return found.span()


def written_table(text: str) -> str:
    start, end = place(text)
    return text[start:end]


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    start, end = place(text)
    PAGE.write_text(text[:start] + benchmarks_table() + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
