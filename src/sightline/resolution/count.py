"""The one place that turns a view into a number of tokens."""

from __future__ import annotations

from sightline.resolution.layout import Features, View
from sightline.spec import ModelSpec


def features(spec: ModelSpec, view: View, number: int) -> Features:
    """What encoder and connector make of `view`, which is number `number` of its media."""
    grid = spec.vision.grid(view.size.width, view.size.height)
    return Features(number, spec.connector.tokens(spec.vision.tokens(grid)), grid)
