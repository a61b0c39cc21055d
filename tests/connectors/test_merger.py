"""Squares of rows merged, one merger a level."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.tiny import randomise
from torch.nn import functional as F

from sightline.connectors.context import ViewContext
from sightline.connectors.merger import MergerConnector
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec.connector import MergerSpec

WIDTH, OUT = 6, 10


def merger(spec: MergerSpec) -> MergerConnector:
    built = MergerConnector(spec, WIDTH * (1 + spec.levels), OUT)
    randomise(built, 0)
    return built


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_the_published_formula(norm: str) -> None:
    """A norm of every row; the four rows of a square end to end; up, GELU, down."""
    built, x = merger(MergerSpec(norm=norm)), torch.randn(1, 8, WIDTH)
    normed = built.main.norm(x)[0]
    square = torch.cat([normed[row * 4 + col] for row in (0, 1) for col in (2, 3)])
    inner = F.gelu(built.main.up.weight @ square + built.main.up.bias)
    wanted = built.main.down.weight @ inner + built.main.down.bias
    torch.testing.assert_close(built(x, ViewContext(Grid(2, 4)))[0, 1], wanted, rtol=0, atol=1e-5)


def test_levels_have_mergers_of_their_own_that_normalise_the_square() -> None:
    built, x = merger(MergerSpec(levels=2)), torch.randn(3, 16, 3 * WIDTH)
    out = built(x, ViewContext(Grid(4, 4)))
    assert out.shape == (3, 4, 3 * OUT)
    for level, part in ((0, out[..., OUT : 2 * OUT]), (1, out[..., 2 * OUT :])):
        deep, own = built.deep[level], x[..., (1 + level) * WIDTH : (2 + level) * WIDTH]
        assert deep.norm.weight.shape == (4 * WIDTH,)
        square = torch.cat([own[0, row * 4 + col] for row in (2, 3) for col in (0, 1)])
        wanted = deep.down(F.gelu(deep.up(deep.norm(square))))
        torch.testing.assert_close(part[0, 2], wanted, rtol=0, atol=1e-5)


def test_counts() -> None:
    spec = MergerSpec(side=3)
    assert (spec.tokens(54, Grid(6, 9)), spec.grid(Grid(6, 9))) == (6, Grid(2, 3))


@pytest.mark.parametrize("cells", [Grid(3, 4), Grid(4, 3), Grid(1, 2)])
def test_a_grid_that_squares_do_not_fill_is_refused(cells: Grid) -> None:
    with pytest.raises(SpecError, match="does not divide a grid"):
        MergerSpec().tokens(cells.area, cells)


def test_rows_beside_the_grid_are_refused() -> None:
    with pytest.raises(SpecError, match="adds 1 rows"):
        MergerSpec().tokens(5, Grid(2, 2))
