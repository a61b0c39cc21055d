"""What a stage of training takes: parameters, memory, time and money.

Mixed precision: bfloat16 weights and gradients, float32 masters and two AdamW moments, 16 bytes for
each trained parameter (Rajbhandari et al. 2020). With several devices weights, gradients and
optimiser are split evenly among them (FSDP, ZeRO-3); activations are not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import assert_never

from sightline.core.config import Spec
from sightline.core.errors import PlanError
from sightline.planner.context import check_fits
from sightline.planner.decoder import decoder_kept
from sightline.planner.encoder import encoder_flops, encoder_kept
from sightline.planner.formats import WeightDtype, weight_bytes
from sightline.planner.latency import Hardware, find_hardware, usable_bytes
from sightline.planner.memory import memory_flops
from sightline.planner.pieces import Weight, count
from sightline.planner.tensors import text_weights, weights
from sightline.planner.work import (
    attention_flops,
    connector_flops,
    decoder_flops,
    head_flops,
)
from sightline.planner.workload import Workload, workload
from sightline.spec.model import ModelSpec
from sightline.spec.train import PARTS, Part
from sightline.spec.train.budget import LoraBudget, StageBudget

WEIGHT, GRADIENT, MASTER, MOMENTS = 2, 2, 4, 8  # bytes for each trained parameter
LOGIT_BYTES = 4 + 4 + 2  # float32 logits, their gradient, and the product they were cast from


class TrainMemory(Spec):
    """Bytes on each device."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    total: int


class TrainPlan(Spec):
    """One stage on `gpus` devices. cost is in the currency of price_per_gpu_hour."""

    stage: StageBudget
    hardware: str
    gpus: int
    trained: int
    parameters: int
    share: float
    memory: TrainMemory
    fits: bool
    sample_tokens: int
    sample_flops: int
    hours: float
    gpu_hours: float
    price_per_gpu_hour: float
    cost: float


def train_plan(
    spec: ModelSpec,
    stage: StageBudget,
    *,
    hardware: Hardware = "a100",
    gpus: int = 8,
    price_per_gpu_hour: float = 2.0,
) -> TrainPlan:
    """Raises ContextOverflow if a sample does not fit, PlanError for impossible numbers."""
    _refuse(gpus, price_per_gpu_hour)
    device = find_hardware(hardware)
    sample = workload(spec, stage.images, text_tokens=stage.text_tokens)
    check_fits(sample)
    memory = train_memory(sample, stage, gpus)
    flops = sample_flops(sample, stage)
    hours = device.train_s(flops * stage.samples * stage.epochs) / gpus / 3600
    trained, total = trained_parameters(spec, stage), sum(count(weights(spec, p)) for p in PARTS)
    return TrainPlan(
        stage=stage,
        hardware=device.name,
        gpus=gpus,
        trained=trained,
        parameters=total,
        share=trained / total,
        memory=memory,
        fits=memory.total <= usable_bytes(device),
        sample_tokens=sample.tokens,
        sample_flops=flops,
        hours=hours,
        gpu_hours=hours * gpus,
        price_per_gpu_hour=price_per_gpu_hour,
        cost=hours * gpus * price_per_gpu_hour,
    )


def trained_parameters(spec: ModelSpec, stage: StageBudget) -> int:
    """Numbers that the stage updates, adapters included."""
    own = sum(count(weights(spec, part)) for part in stage.trains)
    return own + lora_parameters(spec, stage.lora)


def lora_parameters(spec: ModelSpec, lora: LoraBudget | None) -> int:
    """Two thin matrices beside every matrix of the language blocks."""
    if lora is None:
        return 0
    return sum(lora.rank * sum(weight.shape) * weight.copies for weight in _adapted(spec))


def _adapted(spec: ModelSpec) -> Iterator[Weight]:
    return (weight for weight in text_weights(spec) if weight.role in ("linear", "memory"))


def train_memory(sample: Workload, stage: StageBudget, gpus: int = 1) -> TrainMemory:
    """Bytes on each of `gpus` devices that split everything but activations."""
    trained = trained_parameters(sample.spec, stage)
    frozen = sum(_frozen_bytes(sample.spec, part, stage) for part in PARTS)
    weights_, gradients, optimizer = (
        math.ceil(size / gpus)
        for size in (frozen + trained * WEIGHT, trained * GRADIENT, trained * (MASTER + MOMENTS))
    )
    activations = activation_bytes(sample, stage) * stage.micro_batch
    return TrainMemory(
        weights=weights_,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        total=weights_ + gradients + optimizer + activations,
    )


def _frozen_bytes(spec: ModelSpec, part: Part, stage: StageBudget) -> int:
    if part in stage.trains:
        return 0
    adapted = stage.lora if part in ("fusion", "language") else None
    dtype: WeightDtype = "bf16" if adapted is None else adapted.base
    return weight_bytes(weights(spec, part), dtype)


def sample_flops(sample: Workload, stage: StageBudget) -> int:
    """One sample forward and backward, recomputed activations included.

    Backward costs one forward for the gradients of activations, wherever something before or inside
    trains, and one for those of weights that train. Gradients always pass the language model: what
    trains stands in it or before it.
    """
    spec, views = sample.spec, [view.size for view in sample.layout.views]
    vision = sum(encoder_flops(spec.vision, view) for view in views)
    connector = sum(connector_flops(spec, view) for view in views)
    return (
        vision * passes("vision", stage.trains, stage.adapts, checkpointing=stage.checkpointing)
        + connector * passes("connector", stage.trains, stage.adapts)
        + _language_flops(sample, stage)
        * passes("language", stage.trains, stage.adapts, checkpointing=stage.checkpointing)
        + 6 * sample.tokens * lora_parameters(spec, stage.lora)
    )


def _language_flops(sample: Workload, stage: StageBudget) -> int:
    blocks = decoder_flops(sample.spec, sample.tokens)
    attention = attention_flops(sample.spec.language, sample.tokens)
    attention += memory_flops(sample.spec, sample.tokens, sample.layout.memory_tokens)
    return blocks + attention + head_flops(sample.spec.language, stage.targets)


def passes(
    part: Part,
    trains: Collection[Part],
    adapts: Collection[Part] = (),
    *,
    checkpointing: bool = False,
) -> int:
    """Forwards' worth of FLOPs of a part, where `trains` are updated in full and `adapts` have
    adapters: forward, backward of activations, of weights, recomputation."""
    own, again = part in trains, int(checkpointing)
    reached = {*trains, *adapts}
    match part:
        case "vision":
            return 1 + (1 + again if part in reached else 0) + own
        case "connector":
            return 1 + bool({"vision", "connector"} & reached) + own
        case "language" | "fusion":
            return 2 + own + again
        case _:
            assert_never(part)


def activation_bytes(sample: Workload, stage: StageBudget) -> int:
    """What one sample keeps for the backward pass, in bfloat16, with its logits."""
    spec, again = sample.spec, stage.checkpointing
    kept = decoder_kept(spec.language, sample.tokens, checkpointing=again)
    if "vision" in (*stage.trains, *stage.adapts):
        views = (view.size for view in sample.layout.views)
        kept += encoder_kept(spec.vision, views, checkpointing=again)
    return kept * 2 + stage.targets * spec.language.vocab * LOGIT_BYTES


def standard_stages(
    samples: int, *, text_tokens: int = 250, rank: int = 64, images: tuple[tuple[int, int], ...]
) -> tuple[StageBudget, ...]:
    """The four usual ways to train on the same data: connector and language in full, connector
    alone, and connector with adapters over bf16 (LoRA) or 4-bit (QLoRA) language weights."""

    def stage(name: str, trains: tuple[Part, ...], lora: LoraBudget | None = None) -> StageBudget:
        return StageBudget(
            name=name,
            trains=trains,
            lora=lora,
            samples=samples,
            text_tokens=text_tokens,
            images=images,
        )

    return (
        stage("full", ("connector", "fusion", "language")),
        stage("connector", ("connector",)),
        stage(f"LoRA r{rank}", ("connector",), LoraBudget(rank=rank)),
        stage(f"QLoRA r{rank}", ("connector",), LoraBudget(rank=rank, base="nf4")),
    )


def _refuse(gpus: int, price: float) -> None:
    if type(gpus) is not int or gpus < 1:
        raise PlanError("gpus", f"{gpus!r} is not usable", "give an integer of 1 or more")
    if not (math.isfinite(price) and price >= 0):
        raise PlanError("price_per_gpu_hour", f"{price!r} is not usable", "give 0 or more")
