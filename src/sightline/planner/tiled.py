"""What the encoder of tiles holds, and what one view costs in it."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.core.geometry import Grid
from sightline.planner.pieces import Weight, linear_weights, matrices, mlp_weights, norm_weights
from sightline.spec.layers import LayerNormSpec
from sightline.spec.vision import TiledVitSpec


def tiled_weights(spec: TiledVitSpec) -> Iterator[Weight]:
    """The parameters, named as the built encoder names them."""
    width, shapes = spec.width, len(spec.arrangements) + 1
    yield Weight("vision.patch_embed", (width, 3, spec.patch, spec.patch), "patch")
    yield Weight("vision.class_token", (width,), "vector")
    for part in ("tile_before", "tile_after"):
        yield Weight(f"vision.{part}.weight", (shapes, spec.tiles * width), "vector")
        yield Weight(f"vision.{part}.gate", (1,), "vector")
    rows = spec.tile_rows
    yield Weight("vision.positions.weight", (rows, width), "vector")
    yield Weight("vision.positions.tiles", (shapes, spec.tiles * rows * width), "vector")
    yield Weight("vision.positions.gate", (1,), "vector")
    for norm in ("pre_norm", "post_norm"):
        yield from norm_weights(f"vision.{norm}", LayerNormSpec(), width)
    yield from _blocks(spec, "vision.blocks.{i}", spec.depth)
    yield from _blocks(spec, "vision.global_blocks.{i}", spec.global_depth)
    for gate in ("attn_gate", "mlp_gate") if spec.global_depth else ():
        yield Weight(f"vision.global_blocks.{{i}}.{gate}", (1,), "vector", spec.global_depth)


def _blocks(spec: TiledVitSpec, name: str, depth: int) -> Iterator[Weight]:
    if depth == 0:
        return
    width = spec.width
    for norm in ("norm1", "norm2"):
        yield from norm_weights(f"{name}.{norm}", LayerNormSpec(), width, depth)
    for part in ("q", "k", "v", "out"):
        yield from linear_weights(f"{name}.{part}", width, width, False, depth)
    yield from mlp_weights(f"{name}.mlp", width, spec.mlp_width, depth, gated=False, bias=True)


def tiled_rows(spec: TiledVitSpec) -> int:
    """Rows inside the encoder, of every tile place, whatever the view fills."""
    return spec.tiles * spec.padded_rows


def tiled_flops(spec: TiledVitSpec, cells: Grid) -> int:
    """One view of `cells` patches."""
    found, rows = tuple(tiled_weights(spec)), tiled_rows(spec)
    attention = 4 * rows * rows * spec.width * (spec.depth + spec.global_depth)
    return 2 * cells.area * matrices(found, "patch") + 2 * rows * matrices(found) + attention


def tiled_row(spec: TiledVitSpec) -> int:
    """Numbers that one block makes of one row: see `vit_row`."""
    return 8 * spec.width + 2 * spec.mlp_width
