"""`sightline models`."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.table import Table

from sightline.core.log import output
from sightline.families import catalogue


def models_command(as_json: bool) -> None:
    """Print the catalogue of families."""
    rows = catalogue()
    if as_json:
        output().print_json(json.dumps([asdict(row) for row in rows]))
        return
    table = Table(title="Families that load")
    for title in asdict(rows[0]):
        table.add_column(title.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in asdict(row).values()))
    output().print(table)
