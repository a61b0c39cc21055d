"""NLVR2: is a sentence true of two photographs?

The pictures lie beside the rows, in `images/` there, or in a folder of either that is named after
their split (`dev`, `test1`, `train`).
"""

from __future__ import annotations

from dataclasses import replace

from sightline.data.sample import Media
from sightline.eval.item import Choice, Item, StoredPicture
from sightline.eval.metrics.consistency import Consistency
from sightline.eval.tasks.published import EachRow, answers_hidden, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark
from sightline.pictures.gateway import PictureSource

FILES = ("test1.json", "data/test1.json", "dev.json", "data/dev.json")
_OPTIONS = ("True", "False")


def _item(row: Row) -> Item:
    split, at_set, pair, sentence = _identifier(row)
    question = (
        "Here is a statement about the images. Is it true or false?\n"
        f"{words(row, 'sentence')}\n(A) True\n(B) False\n"
        "Answer with the option's letter from the given choices directly."
    )
    shown = [_picture(row, split, f"{split}-{at_set}-{pair}-img{side}.png") for side in (0, 1)]
    return Item(
        f"{row.where} {row.text('identifier')}",
        (*(Media("image", picture) for picture in shown), question),
        Choice(_OPTIONS, _OPTIONS.index(_label(row))),
        cluster=f"{split}-{at_set}",
        unit=f"{split}-{at_set}--{sentence}",
    )


def _identifier(row: Row) -> list[str]:
    """Split, set of eight pictures, pair of the set, sentence of the set."""
    parts = row.text("identifier").split("-")
    if len(parts) != 4:
        raise row.wrong(
            "identifier", f"is {'-'.join(parts)!r:.60}", "write split-set-pair-sentence"
        )
    return parts


def _label(row: Row) -> str:
    if not row.has("label"):
        raise answers_hidden(row, "label")
    if (label := row.text("label").capitalize()) not in _OPTIONS:
        raise row.wrong("label", f"is {label!r:.40}", "write True or False")
    return label


def _picture(row: Row, split: str, name: str) -> PictureSource | StoredPicture:
    here = row.table.folder(row.index)
    for folder in (here, here / "images", here / split, here / "images" / split):
        if (folder / name).is_file():
            return replace(row, fields={"image": str((folder / name).absolute())}).picture("image")
    raise row.wrong("identifier", f"has no picture {name}", "put the pictures into images/")


NLVR2 = Benchmark(
    "nlvr2",
    "NLVR2",
    EachRow(_item, FILES),
    Consistency(),
    16,
    "lmms-eval 0.7.3 has it only as rows of llava_interleave_bench and mantis. Fields sentence, "
    "label, identifier and names of pictures: github.com/lil-lab/nlvr nlvr2/README.md; accuracy "
    "and consistency: nlvr2/eval/metrics.py there. Prompt: github.com/TIGER-AI-Lab/Mantis "
    "data/nlvr2/prepare_vqa_v3.py, which makes the rows of lmms-eval's kind, with True always A, "
    "and the last line of lmms_eval/tasks/mantis/utils.py",
)
