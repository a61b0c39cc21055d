"""The one place that turns a view into a number of tokens."""

from __future__ import annotations

from sightline.core.geometry import Grid
from sightline.resolution.layout import Features, View
from sightline.spec import ModelSpec, TiledVitSpec


def features(spec: ModelSpec, view: View, number: int, time: int = 0) -> Features:
    """What encoder and connector make of `view`, which is number `number` of its media."""
    cells = spec.vision.grid(view.size.width, view.size.height)
    padding = 0
    if view.pool is None:
        rows = spec.vision.tokens(cells)
        tokens = spec.connector.tokens(rows, cells)
        padding = _padding(spec, cells) if tokens == rows else 0
    elif view.pool.at == "features":
        cells = view.pool.grid(cells)
        tokens = spec.connector.tokens(cells.area, cells)
    else:
        tokens = token_grid(spec, view).area
    return Features(number, tokens, token_grid(spec, view), time, padding=padding)


def _padding(spec: ModelSpec, cells: Grid) -> int:
    return spec.vision.padding(cells) if isinstance(spec.vision, TiledVitSpec) else 0


def token_grid(spec: ModelSpec, view: View) -> Grid:
    """Rows and columns that the visual tokens of `view` form."""
    cells = spec.vision.grid(view.size.width, view.size.height)
    if view.pool is None:
        return spec.connector.grid(cells)
    if view.pool.at == "features":
        return spec.connector.grid(view.pool.grid(cells))
    return view.pool.grid(spec.connector.grid(cells))
