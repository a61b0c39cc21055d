"""What one view costs in the encoder: rows, FLOPs, and numbers in memory.

Of a module of the user's own only width and parameters are known. It is taken as matrices that all
multiply every row: exact for an encoder without attention, close for short views.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from sightline.core.geometry import Size
from sightline.planner.tensors import matrices, stem_flops, vision_weights
from sightline.spec.vision import ModuleSpec, VisionSpec, VitSpec

SCORES = 2 * 64  # attention on CPU holds, before and after softmax, the scores of 64 queries


def encoder_rows(spec: VisionSpec, view: Size) -> int:
    """Rows of one view inside the encoder: patches, class token and registers."""
    patches = spec.grid(view.width, view.height).area
    return patches + (spec.extra_tokens if isinstance(spec, VitSpec) else 0)


def encoder_flops(spec: VisionSpec, view: Size) -> int:
    """One view up to the hidden state that leaves."""
    patches, rows = spec.grid(view.width, view.height).area, encoder_rows(spec, view)
    match spec:
        case VitSpec():
            used = tuple(vision_weights(spec, spec.blocks_used))
            attention = 4 * rows * rows * spec.width * spec.blocks_used
            stem = patches * (2 * matrices(used, "patch") + stem_flops(spec))
            return stem + 2 * rows * matrices(used) + attention
        case ModuleSpec():
            return 2 * rows * spec.parameters
        case _:
            assert_never(spec)


def encoder_scratch(spec: VisionSpec, views: Iterable[Size]) -> int:
    """Numbers alive at most while views are encoded together: their pixels and one block."""
    return sum(_alive(spec, view) + 3 * view.area for view in views)


def encoder_kept(spec: VisionSpec, views: Iterable[Size], *, checkpointing: bool) -> int:
    """Numbers that all blocks keep for a backward pass; with checkpointing their inputs and one
    block's insides."""
    return sum(encoder_rows(spec, v) * _kept_row(spec, checkpointing) for v in views)


def vit_row(spec: VitSpec) -> int:
    """Numbers that one block makes of one row: see `decoder_row`."""
    branches = (4 if spec.mlp == "swiglu" else 2) * spec.mlp_width
    return (10 if spec.layer_scale else 8) * spec.width + branches


def _alive(spec: VisionSpec, view: Size) -> int:
    rows = encoder_rows(spec, view)
    match spec:
        case VitSpec():
            return rows * (vit_row(spec) + SCORES * spec.heads)
        case ModuleSpec():
            return rows * _module_row(spec)
        case _:
            assert_never(spec)


def _kept_row(spec: VisionSpec, checkpointing: bool) -> int:
    match spec:
        case VitSpec() if checkpointing:
            return spec.blocks_used * spec.width + vit_row(spec)
        case VitSpec():
            return spec.blocks_used * vit_row(spec)
        case ModuleSpec():
            return _module_row(spec)
        case _:
            assert_never(spec)


def _module_row(spec: ModuleSpec) -> int:
    """A matrix makes one number for each `width` parameters."""
    return spec.width + -(-spec.parameters // spec.width)
