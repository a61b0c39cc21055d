"""AI2D: diagrams of grade-school science (Kembhavi et al. 2016)."""

from __future__ import annotations

from sightline.eval.item import Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.tasks.options import DIRECTLY, by_number, listed, several
from sightline.eval.tasks.published import EachRow, asked, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark


def _item(row: Row) -> Item:
    options = several(row, "options")
    prompt = f"{words(row, 'question')}\n{listed(options)}{DIRECTLY}"
    return asked(row, prompt, by_number(row, options))


AI2D = Benchmark(
    name="ai2d",
    title="AI2D",
    read=EachRow(_item, split("test")),
    metric=ByLetter(),
    max_tokens=16,
    source="lmms_eval/tasks/ai2d/{ai2d.yaml, utils.py} (0.7.3); there a letter counts alone or"
    " before a full stop at the start, here also in a sentence, and the option's own words",
)
