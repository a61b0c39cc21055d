"""docs/data.md has a row and an example for every dialect, and each is what it says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.docs.blocks import ROOT

from sightline.data.dialects import Context, read_row, recognise
from sightline.spec.train import DIALECTS, Dialect

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
KINDS = {"preference": "preference", "kto": "judged", "prompt": "prompt"}


def examples() -> dict[str, Any]:
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    fences = {name: re.findall(r"```json\n(.*?)```", text, re.DOTALL) for name, text in sections}
    return {name: [json.loads(fence) for fence in found] for name, found in fences.items()}


def test_every_dialect_has_a_row_and_an_example() -> None:
    table = re.search(r"<!-- dialects -->\n(.*?)<!-- /dialects -->", PAGE, re.DOTALL)
    assert table and tuple(re.findall(r"^\| \[`(\w+)`\]", table[1], re.MULTILINE)) == DIALECTS
    assert tuple(examples()) == DIALECTS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_example_is_of_its_dialect(dialect: Dialect) -> None:
    [row] = examples()[dialect]
    assert recognise([row]) == dialect
    sample = read_row(dialect, row, Context("page:1"))
    assert sample.kind == KINDS.get(dialect, "conversation")
    assert len(sample.media) == 1
