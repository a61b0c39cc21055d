"""A report in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sightline.eval.report.facts import Report
from sightline.eval.report.tables import Table, tables
from sightline.eval.report.visible import visible


def as_markdown(report: Report) -> str:
    """The sentence, the notes and every table; text of the task and the model is never markup."""
    lines = [f"# {cell(report.task)} asked of {cell(report.model)}", ""]
    lines += [f"Judged by {cell(report.metric)}.", ""]
    lines += [f"**{cell(report.sentence)}**", ""]
    for note in report.notes:
        lines += [cell(note), ""]
    for table in tables(report):
        lines += [*table_lines(table), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def table_lines(table: Table) -> Iterator[str]:
    """A heading, the caption, and a table; numbers stand to the right."""
    yield from (f"## {cell(table.title)}", "", cell(table.caption), "")
    yield _row(table.head)
    yield _row([":---", *[":---" if table.words else "---:"] * (len(table.head) - 1)], marks=True)
    yield from (_row(row) for row in table.rows)


def _row(cells: tuple[str, ...] | list[str], marks: bool = False) -> str:
    return "| " + " | ".join(text if marks else cell(text) for text in cells) + " |"


# What is markup in the middle of a line, and what begins a tag or names a character.
_MARKS = re.compile(r"[\\`*\[\]|~]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")


def cell(text: str) -> str:
    """Text as itself, on one line."""
    plain = " ".join(visible(text).split())
    return _MARKS.sub(r"\\\g<0>", plain)
