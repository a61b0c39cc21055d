"""The one place that turns a view into a number of tokens."""

from __future__ import annotations

from sightline.core.geometry import Grid
from sightline.resolution.layout import Features, View
from sightline.spec import ModelSpec


def features(spec: ModelSpec, view: View, number: int, time: int = 0) -> Features:
    """What encoder and connector make of `view`, which is number `number` of its media."""
    cells = spec.vision.grid(view.size.width, view.size.height)
    tokens = spec.connector.tokens(spec.vision.tokens(cells), cells)
    return Features(number, tokens, token_grid(spec, view), time)


def token_grid(spec: ModelSpec, view: View) -> Grid:
    """Rows and columns that the visual tokens of `view` form."""
    return spec.connector.grid(spec.vision.grid(view.size.width, view.size.height))
