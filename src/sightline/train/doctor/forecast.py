"""What a stage will take: the planner, with the rows as they were found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sightline.core.geometry import MediaSize
from sightline.data.sample import Sample
from sightline.model.prepare import Measured
from sightline.pictures.clips import probe_clip
from sightline.pictures.gateway import probe
from sightline.planner.latency import Hardware
from sightline.planner.train import TrainPlan, train_plan
from sightline.spec.model import ModelSpec
from sightline.spec.train import AdapterSpec, FullSpec, PackSpec, PadSpec, Part, StageSpec
from sightline.spec.train.budget import LoraBudget, StageBudget
from sightline.train.doctor.survey import Survey

# What is assumed of rows that cannot be read: means of LLaVA's data sets (planner/published.py).
ASSUMED_TEXT = {"align": 40, "instruct": 250, "contrastive": 16}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the forecast is for."""

    hardware: Hardware
    gpus: int = 1
    price_per_gpu_hour: float = 0.0


def forecast(
    spec: ModelSpec, stage: StageSpec, name: str, found: Survey | None, machine: Machine
) -> TrainPlan | None:
    """Memory, time and cost of a stage; None where nobody knows how many rows it will see.

    Rows that could be read give the means; of others LLaVA's are assumed. Raises ContextOverflow
    or PlanError.
    """
    text, targets = ASSUMED_TEXT[stage.kind], None
    side = getattr(spec.resolution, "size", spec.resolution.least_side)
    images: tuple[tuple[int, int], ...] = ((side, side),)
    if found is not None and found.sizes:
        text = max(1, round(found.mean("tokens") - found.mean("visual_tokens")))
        targets = min(text, max(1, round(found.mean("target_tokens"))))
        images = _typical(found)
    rows = rows_per_step(stage, found)
    samples = _samples(stage, found, rows)
    if samples is None:
        return None
    budget = StageBudget(
        name=name,
        trains=full_parts(stage),
        lora=_lora(stage),
        adapts=tuple(
            part
            for part, way in stage.trains.items()
            if isinstance(way, AdapterSpec) and part != "language"
        ),
        samples=samples,
        text_tokens=text,
        target_tokens=targets,
        images=images,
        micro_batch=max(1, rows // stage.accumulate),
        checkpointing=stage.checkpointing,
    )
    return train_plan(
        spec,
        budget,
        hardware=machine.hardware,
        gpus=machine.gpus,
        price_per_gpu_hour=machine.price_per_gpu_hour,
    )


def full_parts(stage: StageSpec) -> tuple[Part, ...]:
    """Parts whose own weights are updated."""
    return tuple(part for part, way in stage.trains.items() if isinstance(way, FullSpec))


def rows_per_step(stage: StageSpec, found: Survey | None) -> int:
    """Rows of one update; of packs as many as their mean length lets in."""
    match stage.batch:
        case PadSpec(rows=rows):
            return rows * stage.accumulate
        case PackSpec(tokens=tokens):
            mean = found.mean("tokens") if found is not None and found.sizes else tokens
            return max(1, round(tokens / mean)) * stage.accumulate


def _samples(stage: StageSpec, found: Survey | None, rows: int) -> int | None:
    if stage.steps is not None:
        return stage.steps * rows
    assert stage.epochs is not None
    if found is None or found.num_rows is None:
        return None
    return math.ceil(stage.epochs * found.num_rows)


def _lora(stage: StageSpec) -> LoraBudget | None:
    way = stage.trains.get("language")
    if not isinstance(way, AdapterSpec):
        return None
    return LoraBudget(rank=way.rank, base="nf4" if way.how == "qlora" else "bf16")


def _typical(found: Survey) -> tuple[tuple[int, int], ...]:
    """Pictures of the kept row whose visual tokens are nearest to the mean of all."""
    mean = found.mean("visual_tokens") + found.mean("memory_tokens")
    kept = zip(found.samples, found.sizes, strict=False)
    sample, _ = min(kept, key=lambda pair: abs(_visual(pair[1]) - mean))
    return tuple((size.width, size.height) for size in _sizes(sample))


def _visual(size: Measured) -> int:
    return size.visual_tokens + size.memory_tokens


def _sizes(sample: Sample) -> list[MediaSize]:
    """Clips count as their frames laid out one by one would: by their first only."""
    found = []
    for media in sample.media:
        if media.kind == "image":
            found.append(probe(media.source))  # type: ignore[arg-type]
        elif media.kind == "video":
            found.append(probe_clip(media.source, fps=media.fps))  # type: ignore[arg-type]
    return found
