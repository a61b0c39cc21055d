"""The first rows of data, bad ones left out within what is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data.feeding import MAKER
from tests.data.test_sources_open import llava

from sightline.core.errors import DataError
from sightline.data.held_out import first_samples
from sightline.spec.train import MixtureSpec


def first(folder: Path, count: int, bad_rows: int) -> list[str]:
    lines = [json.dumps(llava(number)) for number in range(6)]
    lines[1] = lines[3] = "{"
    (folder / "rows.jsonl").write_text("\n".join(lines))
    sources = [{"kind": "files", "path": "rows.jsonl"}]
    data = {"kind": "mixture", "sources": sources, "shuffle": False, "bad_rows": bad_rows}
    return [row.id for row in first_samples(MixtureSpec.parse(data), count, MAKER, folder)]


def test_bad_rows_are_left_out_as_many_as_are_allowed(tmp_path: Path) -> None:
    named = [f"rows.jsonl:{line}" for line in (1, 3, 5, 6)]
    assert first(tmp_path, 3, 2) == named[:3]
    assert first(tmp_path, 2, 1) == named[:2]
    assert first(tmp_path, 99, 2) == named, "one pass, no row twice"


@pytest.mark.parametrize(("bad_rows", "line"), [(0, 2), (1, 4)])
def test_one_bad_row_too_many_is_named(tmp_path: Path, bad_rows: int, line: int) -> None:
    with pytest.raises(DataError, match=rf"rows.jsonl:{line}: "):
        first(tmp_path, 3, bad_rows)
