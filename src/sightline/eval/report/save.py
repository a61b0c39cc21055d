"""Files of a report, each whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sightline.eval.report.build import report
from sightline.eval.report.facts import Report
from sightline.eval.report.html import as_html
from sightline.eval.report.markdown import as_markdown
from sightline.eval.report.plain import as_json, items_jsonl
from sightline.eval.result import Result


def write_report(folder: Path, result: Result) -> Report:
    """report.json, report.md, report.html and items.jsonl; the same result gives the same bytes.
    The folder is made if it is not there."""
    made = report(result)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "report.json", [as_json(made)])
    write(folder / "report.md", [as_markdown(made)])
    write(folder / "report.html", [as_html(made, result)])
    write(folder / "items.jsonl", (f"{line}\n" for line in items_jsonl(result)))
    return made


def write(path: Path, pieces: Iterable[str]) -> None:
    """A file of these pieces, under its name only when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)
    os.replace(partial, path)
