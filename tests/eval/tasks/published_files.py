"""Files as data sets are published: Parquet with pictures inside, or JSONL beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

Rows = Sequence[Mapping[str, Any]]


def png(shade: int, size: tuple[int, int] = (8, 6)) -> dict[str, Any]:
    """A grey picture as `datasets` stores one."""
    file = io.BytesIO()
    Image.new("L", size, shade).convert("RGB").save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"{shade}.png"}


def write_parquet(path: Path, rows: Rows) -> Path:
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    """Pictures become files beside it, named in the rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(_named(row, path.parent)) + "\n" for row in rows))
    return path


def _named(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {name: _file(value, folder) for name, value in row.items()}


def _file(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping) and "bytes" in value:
        (folder / value["path"]).write_bytes(value["bytes"])
        return value["path"]
    return value
