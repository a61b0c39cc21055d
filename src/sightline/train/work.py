"""What training computes, and what it holds: the figures beside the loss."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import torch

from sightline.core.geometry import Size
from sightline.data.collate import TrainBatch
from sightline.model.pair_prepare import PairBatch
from sightline.planner.encoder import encoder_flops
from sightline.planner.memory import memory_flops
from sightline.planner.pieces import matrices
from sightline.planner.tensors import decoder_weights
from sightline.planner.train import passes
from sightline.planner.work import attention_flops, connector_flops, decoder_flops, head_flops
from sightline.resolution.layout import View
from sightline.spec.model import ModelSpec
from sightline.spec.pair import PairSpec
from sightline.spec.train import Part

GEMM = 2048  # side of the product that the peak is taken from


def batch_flops(
    spec: ModelSpec, trains: Collection[Part], adapts: Collection[Part], batch: TrainBatch
) -> int:
    """Model FLOPs of one micro-batch, forward and backward, as the planner counts them: the encoder
    included, padding and recomputation not. `trains`: parts that are updated in full; `adapts`:
    those that have adapters."""
    views = [view for visual in batch.batch.visuals for view in visual.layout.views]
    memory = sum(visual.layout.memory_tokens for visual in batch.batch.visuals)
    language = decoder_flops(spec, batch.tokens) + memory_flops(spec, batch.tokens, memory)
    language += sum(attention_flops(spec.language, length) for length in _lengths(batch))
    language += head_flops(spec.language, batch.target_tokens)
    seen = [_view_flops(spec, view) for view in views]
    return (
        sum(vision for vision, _ in seen) * passes("vision", trains, adapts)
        + sum(connector for _, connector in seen) * passes("connector", trains, adapts)
        + language * passes("language", trains)
    )


def pair_flops(
    spec: PairSpec, trains: Collection[Part], adapts: Collection[Part], batch: PairBatch
) -> int:
    """Those of a micro-batch of pairs: both towers, whole texts of a bidirectional one; pooling,
    projections and comparisons are left out. A tower that is frozen runs forward only."""
    side, stack, rows = spec.resolution.size, spec.text.stack, batch.rows
    vision = rows * encoder_flops(spec.vision, Size(side, side))
    tokens = batch.capacity if spec.text.padding == "context" else batch.tokens
    attention = attention_flops(stack, tokens // max(rows, 1)) * rows
    if spec.text.mask == "bidirectional":
        attention *= 2
    language = 2 * tokens * matrices(decoder_weights(stack)) + attention
    texts = 3 if "language" in trains else 1 + ("language" in adapts)
    return vision * passes("vision", trains, adapts) + language * texts


def _lengths(batch: TrainBatch) -> list[int]:
    """Tokens of each conversation; their mean where they are padded side by side."""
    if batch.batch.mask.lengths is not None:
        return list(batch.batch.mask.lengths)
    rows = max(batch.rows, 1)
    return [batch.tokens // rows] * rows


def _view_flops(spec: ModelSpec, view: View) -> tuple[int, int]:
    return encoder_flops(spec.vision, view.size), connector_flops(spec, view.size, view.pool)


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs per second of a large matrix product on this device, the best of a few (on a CPU some
    hundredths of a second)."""
    a, b = (torch.randn(GEMM, GEMM, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        torch.mm(a, b).sum().item()  # waits for the device
        best = min(best, time.perf_counter() - began)
    return 2 * GEMM**3 / best


def memory_bytes(device: torch.device) -> int | None:
    """The most that was allocated on an accelerator; on a CPU the private bytes of this process
    now, mapped files excluded. None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    return None
