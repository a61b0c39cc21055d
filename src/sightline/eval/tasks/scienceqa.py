"""ScienceQA: questions of school science, half of them with a picture (Lu et al. 2022)."""

from __future__ import annotations

from sightline.eval.item import Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.tasks.options import DIRECTLY, by_number, listed, several
from sightline.eval.tasks.published import EachRow, asked, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

FILES = (*split("test", "ScienceQA-FULL"), *split("test", "ScienceQA-IMG"))


def _item(row: Row) -> Item:
    options = several(row, "choices")
    context = f"Context: {words(row, 'hint')}\n" if row.optional("hint") else ""
    prompt = f"{context}{words(row, 'question')}\n{listed(options)}{DIRECTLY}"
    truth, kind = by_number(row, options), row.optional("subject")
    if "image" in row.fields and not row.has("image"):
        return Item(row.where, (prompt,), truth, kind or "question", kind or "question")
    return asked(row, prompt, truth, kind=kind)


SCIENCEQA = Benchmark(
    name="scienceqa",
    title="ScienceQA",
    read=EachRow(_item, FILES),
    metric=ByLetter(),
    max_tokens=16,
    source="lmms_eval/tasks/scienceqa/{scienceqa.yaml, scienceqa_img.yaml, utils.py} (0.7.3);"
    " subject, which it does not read, from the card of lmms-lab/ScienceQA; of its two tasks this"
    " is ScienceQA-FULL, or ScienceQA-IMG in a folder that holds that alone; there a letter counts"
    " alone or before a full stop, here also in a sentence, and the option's own words",
)
