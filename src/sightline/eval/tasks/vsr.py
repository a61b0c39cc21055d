"""VSR: is a sentence about where two things are true of the picture? (Liu et al. 2023)"""

from __future__ import annotations

from dataclasses import replace

from sightline.eval.item import Choice, Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.tasks.options import check_told
from sightline.eval.tasks.published import EachRow, asked, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

FILES = ("splits/zeroshot/test.jsonl", "zeroshot/test.jsonl", "test.jsonl")
_OPTIONS = ("True", "False")
_KINDS = {
    "adjacency": "adjacent to, alongside, at the side of, at the right side of, "
    "at the left side of, attached to, at the back of, ahead of, against, at the edge of",
    "directional": "off, past, toward, down, deep down, up, away from, along, around, from, into, "
    "to, across, across from, through, down from",
    "orientation": "facing, facing away from, parallel to, perpendicular to",
    "projective": "on top of, beneath, beside, behind, left of, right of, under, in front of, "
    "below, above, over, in the middle of",
    "proximity": "by, close to, near, far from, far away from",
    "topological": "connected to, detached from, has as a part, part of, contains, within, at, on, "
    "in, with, surrounding, consists of, out of, between, inside, outside, touching",
}  # all others are unallocated, among them `among`, which the list names twice
_KIND_OF = {relation: kind for kind, all_of in _KINDS.items() for relation in all_of.split(", ")}


def _item(row: Row) -> Item:
    check_told(row, "label")
    if (label := row.whole("label")) not in (0, 1):
        raise row.wrong("label", f"is {label}", "write 1 (true) or 0 (false)")
    question = f'Based on the image, is this statement "True" or "False"? {words(row, "caption")}'
    return asked(
        _with_picture(row),
        question,
        Choice(_OPTIONS, 1 - label, "TF"),
        then='\nRespond with "True" or "False" directly.',
        kind=_KIND_OF.get(row.text("relation"), "unallocated"),
        cluster=row.text("image"),
    )


def _with_picture(row: Row) -> Row:
    """The row with the whole path of its picture."""
    name, here = row.text("image"), row.table.folder(row.index)
    for folder in (here, here / "images", here.parent / "images", here.parent.parent / "images"):
        if (found := folder / name).is_file():
            return replace(row, fields={**row.fields, "image": str(found.absolute())})
    raise row.wrong("image", f"is {name!r:.60}, which is not there", "put the pictures in images/")


VSR = Benchmark(
    name="vsr",
    title="VSR (zero-shot test)",
    read=EachRow(_item, FILES),
    metric=ByLetter(),
    max_tokens=16,
    source="lmms-eval 0.7.3 has no such task. Files and fields: data/README.md of github.com/"
    "cambridgeltl/visual-spatial-reasoning, kinds: analysis_scripts/rel_meta_category_dict.txt"
    " there. Prompt: vlm_eval/models/llava.py of github.com/TRI-ML/vlm-evaluation, whose"
    " harnesses/vsr.py compares the probabilities of the two words; here the word said counts",
)
