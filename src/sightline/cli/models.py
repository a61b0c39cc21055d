"""`sightline models`."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.table import Table

from sightline.core.log import output
from sightline.families import catalogue

COLUMNS = (
    *("name", "part", "covers", "resolution", "connector", "fusion"),
    *("decoders", "grounding", "video"),
)


def models_command(as_json: bool) -> None:
    """Print the catalogue of families."""
    rows = catalogue()
    if as_json:
        output().print_json(json.dumps([asdict(row) for row in rows]))
        return
    table = Table(title="Families that load", show_lines=True)
    for title in (*COLUMNS, "proved by"):
        table.add_column(title, overflow="fold")
    for row in rows:
        values = asdict(row)
        table.add_row(*(_cell(values[column]) for column in COLUMNS), row.proof)
    output().print(table)


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
