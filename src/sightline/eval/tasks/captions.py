"""COCO captions, NoCaps and Flickr30k: one sentence for a picture.

lmms-eval has METEOR besides, which needs Java; it is left out.
"""

from __future__ import annotations

from sightline.eval.item import Answers, Item
from sightline.eval.metrics.captions import Caption
from sightline.eval.tasks.published import EachRow, asked, known, split
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

PROMPT = "Provide a one-sentence caption for the provided image."


def _coco(row: Row) -> Item:
    """`question_id` is the picture's file name: COCO_val2014_000000203564.jpg."""
    name = row.text("question_id")
    number = name.rsplit("_", 1)[-1].split(".")[0]
    if not number.isdecimal():
        raise row.wrong("question_id", f"is {name!r:.60}", "give the file name of a COCO picture")
    return _item(row, "answer", name, str(int(number)))


def _nocaps(row: Row) -> Item:
    return _item(row, "annotations_captions", row.text("image_id"), row.text("image_id"))


def _flickr(row: Row) -> Item:
    return _item(row, "caption", row.text("img_id"), row.text("img_id"))


def _item(row: Row, field: str, id: str, cluster: str) -> Item:
    return asked(row, PROMPT, Answers(known(row, field)), id=id, kind="caption", cluster=cluster)


COCO_CAPTIONS = Benchmark(
    name="coco_captions",
    title="COCO captions",
    read=EachRow(_coco, split("val")),
    metric=Caption(),
    max_tokens=64,
    source="lmms_eval/tasks/coco_cap/{coco2014_cap_val.yaml, coco2017_cap_val.yaml, utils.py}"
    " (0.7.3); its Karpathy files hold addresses in place of pictures, and are not read",
)
NOCAPS = Benchmark(
    name="nocaps",
    title="NoCaps",
    read=EachRow(_nocaps, split("validation")),
    metric=Caption(),
    max_tokens=64,
    source="lmms_eval/tasks/nocaps/{nocaps_val.yaml, _default_template_nocaps_yaml, utils.py}"
    " (0.7.3)",
)
FLICKR30K_CAPTIONS = Benchmark(
    name="flickr30k_captions",
    title="Flickr30k captions",
    read=EachRow(_flickr, split("test")),
    metric=Caption(),
    max_tokens=64,
    source="lmms_eval/tasks/flickr30k/{flickr30k_test.yaml, utils.py} (0.7.3)",
)
