"""What one view costs in the encoder: rows, FLOPs, and numbers in memory.

Of a module of the user's own only width and parameters are known. It is taken as matrices that all
multiply every row: exact for an encoder without attention, close for short views.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from sightline.core.geometry import Size
from sightline.planner.pieces import matrices
from sightline.planner.tensors import stem_flops, vision_weights
from sightline.planner.tiled import tiled_flops, tiled_row, tiled_rows
from sightline.spec.vision import CnnSpec, ModuleSpec, TiledVitSpec, VisionSpec, VitSpec

CNN_KEEPS = 2  # of each number that a convolution puts out: itself, and what its activation made
SCORES = 2 * 64  # attention on CPU holds, before and after softmax, the scores of 64 queries


def encoder_rows(spec: VisionSpec, view: Size) -> int:
    """Rows of one view inside the encoder: patches, class token and registers."""
    if isinstance(spec, TiledVitSpec):
        return tiled_rows(spec)
    patches = spec.grid(view.width, view.height).area
    return patches + (spec.extra_tokens if isinstance(spec, VitSpec) else 0)


def encoder_flops(spec: VisionSpec, view: Size) -> int:
    """One view up to the hidden state that leaves."""
    patches, rows = spec.grid(view.width, view.height).area, encoder_rows(spec, view)
    match spec:
        case VitSpec():
            used = tuple(vision_weights(spec, spec.blocks_used))
            attention = 4 * spec.width * _pairs(spec, view)
            stem = patches * (2 * matrices(used, "patch") + stem_flops(spec))
            return stem + 2 * rows * matrices(used) + attention
        case ModuleSpec():
            return 2 * rows * spec.parameters
        case TiledVitSpec():
            return tiled_flops(spec, spec.grid(view.width, view.height))
        case CnnSpec():
            return 2 * (patches * spec.cell_macs + spec.view_macs)
        case _:
            assert_never(spec)


def _pairs(spec: VitSpec, view: Size) -> int:
    """Query-key pairs of all blocks that run: all rows, or those of a window."""
    grid, rows = spec.grid(view.width, view.height), encoder_rows(spec, view)
    sides = [spec.window_of(block) for block in range(spec.blocks_used)]
    return sum(
        rows * rows if side is None else _squares(grid.rows, side) * _squares(grid.cols, side)
        for side in sides
    )


def _squares(length: int, side: int) -> int:
    """Of the pieces of `length` that are `side` long, the last one shorter."""
    return length // side * side**2 + (length % side) ** 2


def encoder_scratch(spec: VisionSpec, views: Iterable[Size]) -> int:
    """Numbers alive at most while views are encoded together: their pixels and one block."""
    channels = 3 * spec.frames_per_view
    return sum(_alive(spec, view) + channels * view.area for view in views)


def encoder_kept(spec: VisionSpec, views: Iterable[Size], *, checkpointing: bool) -> int:
    """Numbers that all blocks keep for a backward pass; with checkpointing their inputs and one
    block's insides."""
    return sum(encoder_rows(spec, v) * _kept_row(spec, checkpointing) for v in views)


def vit_row(spec: VitSpec) -> int:
    """Numbers that one block makes of one row: see `decoder_row`. Windows also hold
    scores: there are too few for a fused kernel."""
    branches = (2 if spec.mlp == "plain" else 4) * spec.mlp_width
    widths = 8 + 2 * spec.layer_scale + 2 * (spec.norm == "rms") + 4 * (spec.qk_norm == "rms")
    windows = 0 if spec.window is None else spec.window**2 * spec.heads
    return widths * spec.width + branches + windows


def _alive(spec: VisionSpec, view: Size) -> int:
    rows = encoder_rows(spec, view)
    match spec:
        case VitSpec():
            return rows * (vit_row(spec) + SCORES * spec.heads)
        case TiledVitSpec():  # with the rows kept for the taps, and the pairs of the mask
            held = tiled_row(spec) + SCORES * spec.heads + len(spec.taps) * spec.width + rows
            return rows * held
        case CnnSpec():  # no more than all convolutions put out
            return rows * spec.cell_numbers
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
        case TiledVitSpec():
            blocks, row = spec.depth + spec.global_depth, tiled_row(spec)
            return blocks * spec.width + row if checkpointing else blocks * row
        case CnnSpec():
            return CNN_KEEPS * spec.cell_numbers
        case ModuleSpec():
            return _module_row(spec)
        case _:
            assert_never(spec)


def _module_row(spec: ModuleSpec) -> int:
    """A matrix makes one number for each `width` parameters."""
    return spec.width + -(-spec.parameters // spec.width)
