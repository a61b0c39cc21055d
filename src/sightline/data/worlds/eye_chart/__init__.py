"""An eye chart: one letter or one object, as large as a dial says, anywhere on a ground.

    shown = chart(seed=0, index=7, sort="letter")           # of any height (training)
    shown = heldout(seed=1, index=7, sort="letter", size=8) # of this height, names in turn
    pixels = draw(shown)                                    # uint8[128, 128, 3]
    shown.question, shown.name                              # "What letter is shown?", "R"

Seeded, endless, random access, no torch. Heights are pixels of the picture.
"""

from sightline.data.worlds.eye_chart.chart import (
    SORTS,
    Chart,
    ChartDial,
    Sort,
    chart,
    draw,
    heldout,
    names,
)
from sightline.data.worlds.eye_chart.glyphs import LETTERS, glyph

__all__ = [
    "LETTERS",
    "SORTS",
    "Chart",
    "ChartDial",
    "Sort",
    "chart",
    "draw",
    "glyph",
    "heldout",
    "names",
]
