"""The benchmarks whose published files are read, by name."""

from __future__ import annotations

from sightline.core.errors import DataError
from sightline.eval.tasks.ai2d import AI2D
from sightline.eval.tasks.blind_test import BLIND_TEST
from sightline.eval.tasks.captions import COCO_CAPTIONS, FLICKR30K_CAPTIONS, NOCAPS
from sightline.eval.tasks.chartqa import CHARTQA
from sightline.eval.tasks.countbench import COUNTBENCH
from sightline.eval.tasks.docvqa import DOCVQA, INFOVQA
from sightline.eval.tasks.gqa import GQA
from sightline.eval.tasks.hallusionbench import HALLUSIONBENCH
from sightline.eval.tasks.mmbench import MMBENCH
from sightline.eval.tasks.mme import MME
from sightline.eval.tasks.mmmu import MMMU
from sightline.eval.tasks.mmstar import MMSTAR
from sightline.eval.tasks.nlvr2 import NLVR2
from sightline.eval.tasks.ocrbench import OCRBENCH
from sightline.eval.tasks.ok_vqa import OK_VQA
from sightline.eval.tasks.pope import POPE
from sightline.eval.tasks.refcoco import REFCOCO, REFCOCO_PLUS, REFCOCOG
from sightline.eval.tasks.scienceqa import SCIENCEQA
from sightline.eval.tasks.seedbench import SEEDBENCH
from sightline.eval.tasks.tallyqa import TALLYQA
from sightline.eval.tasks.task import Benchmark
from sightline.eval.tasks.textvqa import TEXTVQA
from sightline.eval.tasks.video_mme import VIDEO_MME, VIDEO_MME_DURATION
from sightline.eval.tasks.vqav2 import VQAV2
from sightline.eval.tasks.vsr import VSR
from sightline.eval.tasks.where2place import WHERE2PLACE
from sightline.eval.tasks.winoground import WINOGROUND

BENCHMARKS: tuple[Benchmark, ...] = (
    AI2D,
    BLIND_TEST,
    CHARTQA,
    COCO_CAPTIONS,
    COUNTBENCH,
    DOCVQA,
    FLICKR30K_CAPTIONS,
    GQA,
    HALLUSIONBENCH,
    INFOVQA,
    MMBENCH,
    MME,
    MMMU,
    MMSTAR,
    NLVR2,
    NOCAPS,
    OCRBENCH,
    OK_VQA,
    POPE,
    REFCOCO,
    REFCOCOG,
    REFCOCO_PLUS,
    SCIENCEQA,
    SEEDBENCH,
    TALLYQA,
    TEXTVQA,
    VIDEO_MME,
    VIDEO_MME_DURATION,
    VQAV2,
    VSR,
    WHERE2PLACE,
    WINOGROUND,
)


def benchmark(name: str) -> Benchmark:
    """The benchmark of this name. Raises DataError listing the names."""
    for found in BENCHMARKS:
        if found.name == name:
            return found
    names = ", ".join(sorted(found.name for found in BENCHMARKS))
    raise DataError(name, "is no benchmark", f"name one of {names}")
