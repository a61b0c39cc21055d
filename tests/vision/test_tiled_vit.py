"""The encoder of tiles beyond what parity shows: its rows as a grid, its start, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.tiny import randomise, tiny_spec

from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.spec import ModelSpec
from sightline.spec.vision import TiledVitSpec
from sightline.vision.tiled_vit import TiledVit

SPEC: dict[str, Any] = {
    "width": 12, "depth": 2, "global_depth": 1, "heads": 2, "mlp_width": 20, "patch": 4,
    "image_size": 8, "taps": (0,),
}  # fmt: skip
SHAPES = [Grid(1, 1), Grid(1, 3), Grid(2, 2), Grid(4, 1)]


def pair() -> tuple[TiledVit, TiledVit]:
    """The same weights, rows of the grid and all rows."""
    grid, every = (TiledVit(TiledVitSpec(**SPEC, rows=rows)) for rows in ("grid", "all"))
    randomise(grid, 0)
    every.load_state_dict(grid.state_dict())
    return grid.requires_grad_(False), every.requires_grad_(False)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_the_grid_are_the_patches_of_all_rows(shape: Grid) -> None:
    grid, every = pair()
    pixels = torch.randn(2, 3, 8 * shape.rows, 8 * shape.cols)
    rows, whole = grid(pixels), every(pixels).unflatten(1, (4, 5))
    cells = grid.spec.grid(8 * shape.cols, 8 * shape.rows)
    assert rows.shape == (2, cells.area, 24) == (2, grid.spec.tokens(cells), grid.spec.out_width)
    assert every.spec.tokens(cells) == 20
    assert every.spec.padding(cells) == 5 * (4 - shape.area)
    for n in range(cells.area):
        y, x = divmod(n, cells.cols)
        tile = y // 2 * shape.cols + x // 2
        patch = 1 + y % 2 * 2 + x % 2
        assert torch.equal(rows[:, n], whole[:, tile, patch])


@pytest.mark.parametrize("size", [(8, 12), (12, 8), (8, 40), (24, 16)])
def test_views_that_are_no_arrangement_are_refused(size: tuple[int, int]) -> None:
    grid, _ = pair()
    with pytest.raises(SpecError, match="not up to 4 tiles"):
        grid(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("change", "field"),
    [({"heads": 5}, "heads"), ({"patch": 3}, "patch"), ({"taps": (2,)}, "taps")],
)
def test_specs_that_do_not_fit_are_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError, match=field):
        TiledVitSpec.parse(SPEC | change)


def model_of(resolution: dict[str, Any]) -> ModelSpec:
    data = tiny_spec().model_dump() | {"resolution": resolution}
    return ModelSpec.parse(data | {"vision": {"kind": "tiled_vit", **SPEC}})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another tile": ({"kind": "canvas", "size": 16}, "not the encoder's tile of 8"),
    "too many tiles": ({"kind": "canvas", "size": 8, "tiles": 9}, "not up to 4 tiles"),
    "another square": ({"kind": "fixed", "size": 16}, "not the encoder's tile of 8"),
    "another policy": (
        {"kind": "tiling", "tile": 8, "max_tiles": 4},
        "not up to 4 tiles",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_resolutions_that_do_not_fit_are_refused(name: str) -> None:
    resolution, problem = REFUSED[name]
    with pytest.raises(SpecError, match=problem):
        model_of(resolution)


@pytest.mark.parametrize(
    "resolution", [{"kind": "canvas", "size": 8}, {"kind": "fixed", "size": 8}]
)
def test_a_new_one_tells_places_apart(resolution: dict[str, Any]) -> None:
    model = build_model(model_of(resolution))
    initialise(model, 0)
    features = model.vision(torch.zeros(1, 3, 8, 8))[0]
    assert features.isfinite().all()
    assert torch.pdist(features).min() > 1e-2
