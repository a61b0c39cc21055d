"""Any connector with any resolution, fusion and decoder: it trains, or is refused with a reason."""

from __future__ import annotations

import pytest
from tests.model.combinations import (
    CONNECTORS,
    FUSIONS,
    RESOLUTIONS,
    combinations,
    kinds,
    losses,
    matrix,
)

from sightline.core.errors import SpecError
from sightline.spec import ConnectorSpec, FusionSpec, ResolutionSpec


def test_no_kind_is_missing() -> None:
    assert kinds(ResolutionSpec) == set(RESOLUTIONS)
    assert kinds(ConnectorSpec) == set(CONNECTORS)
    assert kinds(FusionSpec) == set(FUSIONS)


@pytest.mark.parametrize("combination", combinations(), ids=lambda c: c.name)
def test_trains_or_is_refused_with_a_reason(combination) -> None:
    try:
        spec = combination.spec()
    except SpecError as error:
        assert error.field and error.problem and error.fix
        return
    first, *_, last = losses(spec, 5)
    assert last < first


def test_most_combinations_work(capsys: pytest.CaptureFixture[str]) -> None:
    """What is refused is refused for a reason of arithmetic; the matrix is printed (-s)."""
    table = matrix()
    with capsys.disabled():
        print(f"\n{table}")
    assert table.count("✓") >= 100
