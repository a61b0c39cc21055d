"""The pages of choices: every kind has its row, every row is a spec, the matrix is the tests'."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.docs.blocks import ROOT
from tests.docs.recombination import PAGE, written_matrix
from tests.model.combinations import kinds, matrix

from sightline.core.config import load_yaml
from sightline.spec import ConnectorSpec, FusionSpec, ResolutionSpec, VisionSpec

TABLES: dict[str, tuple[str, Any]] = {
    "resolutions": ("resolution.md", ResolutionSpec),
    "encoders": ("recombination.md", VisionSpec),
    "connectors": ("recombination.md", ConnectorSpec),
    "fusions": ("recombination.md", FusionSpec),
}


def table(name: str) -> dict[str, str]:
    """The last cell of each row of a table, by the kind in its first."""
    page, _ = TABLES[name]
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found, f"docs/{page} has lost its marks <!-- {name} --> and <!-- /{name} -->"
    rows = re.findall(r"^\| `(\w+)` \|.*\| `([^`]+)` \|$", found.group(1), re.MULTILINE)
    assert len(rows) == found.group(1).count("\n") - 2
    return dict(rows)


@pytest.mark.parametrize("name", TABLES)
def test_every_kind_has_a_row(name: str) -> None:
    assert set(table(name)) == kinds(TABLES[name][1])


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_a_spec_of_its_kind(name: str) -> None:
    reader: TypeAdapter[Any] = TypeAdapter(TABLES[name][1])
    for kind, text in table(name).items():
        assert reader.validate_python(load_yaml(text)).kind == kind


def test_the_matrix_is_that_of_the_tests() -> None:
    fix = "python -m tests.docs.recombination"
    written = written_matrix(PAGE.read_text(encoding="utf-8"))
    assert written == matrix(), f"the matrix is old; run {fix}"


def test_the_design_page_names_every_kind() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    parts = ("resolution", "vision", "connector", "fusion")
    for part, (_, union) in zip(parts, TABLES.values(), strict=True):
        found = re.search(rf"^\| `{part}` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
        assert found and set(re.findall(r"`(\w+)`", found.group(1))) == kinds(union), part
