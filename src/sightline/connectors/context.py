"""What a connector may know of the views whose features it is given."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.core.geometry import Grid


@dataclass(frozen=True, slots=True)
class ViewContext:
    """Views of one size: `cells` is the grid that the encoder made of each."""

    cells: Grid
