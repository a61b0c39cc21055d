"""What a spec alone cannot refuse because it takes counting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from sightline.core.errors import ContextOverflow
from sightline.core.geometry import MediaSize
from sightline.planner.workload import Picture, Workload, workload
from sightline.resolution.canvas import arrangements
from sightline.resolution.tiling import sheets
from sightline.spec.model import ModelSpec
from sightline.spec.resolution import (
    AnyresSpec,
    CanvasSpec,
    FixedSpec,
    LongestEdgeSpec,
    NativeSpec,
    RowTilingSpec,
    TilingSpec,
)
from sightline.spec.vision import TiledVitSpec

STANDARD_SQUARES = 1280  # visual tokens that Qwen2-VL's own processor gives a large picture


def check(
    spec: ModelSpec,
    media: Sequence[Picture] | None = None,
    *,
    text_tokens: int = 0,
    answer_tokens: int = 0,
) -> None:
    """Raise ContextOverflow unless these pictures (default: one), the text and the answer fit.

    The error names text and visual tokens and the first picture that has no room.
    """
    pictures = [standard_picture(spec)] if media is None else media
    check_fits(workload(spec, pictures, text_tokens=text_tokens, answer_tokens=answer_tokens))


def check_fits(work: Workload) -> None:
    """Raise ContextOverflow unless one conversation fits into the context."""
    context = work.spec.language.context
    if work.tokens <= context:
        return
    if max(work.span_tokens, default=0) > context:
        raise _one_too_large(work)
    counts = f"{work.text_tokens} text + {work.visual_tokens} visual"
    answer = f" + {work.answer_tokens} answer" if work.answer_tokens else ""
    raise ContextOverflow(
        "language.context",
        f"{counts}{answer} = {work.tokens} tokens exceed {context}{_first_without_room(work)}",
        "send fewer or smaller pictures, less text, or use a model with a longer context",
    )


def _one_too_large(work: Workload) -> ContextOverflow:
    context = work.spec.language.context
    index = next(i for i, tokens in enumerate(work.span_tokens) if tokens > context)
    size, tokens = work.media[index], work.span_tokens[index]
    return ContextOverflow(
        "language.context",
        f"{context} tokens cannot hold picture {index + 1} ({size.width}×{size.height}), "
        f"which is {tokens}",
        "lower the resolution, or use a language model with a longer context",
    )


def _first_without_room(work: Workload) -> str:
    """Which picture crosses the context, counting text and answer first."""
    used = work.text_tokens + work.answer_tokens
    for index, (size, tokens) in enumerate(zip(work.media, work.span_tokens, strict=True)):
        used += tokens
        if used > work.spec.language.context:
            name = f"picture {index + 1} of {len(work.media)} ({size.width}×{size.height}, "
            return f"; {name}{tokens} tokens) is the first without room"
    return ""


def standard_picture(spec: ModelSpec) -> MediaSize:
    """A picture of the size that the model was made for."""
    match spec.resolution:
        case FixedSpec(size=side):
            return MediaSize(side, side)
        case AnyresSpec(pinpoints=pinpoints):
            height, width = max(pinpoints, key=lambda point: point[0] * point[1])
            return MediaSize(width, height)
        case TilingSpec(tile=side, min_tiles=least, max_tiles=most):
            sheet = min(sheets(least, most), key=lambda s: (-s.area, abs(s.cols - s.rows), -s.cols))
            return MediaSize(side * sheet.cols, side * sheet.rows)
        case RowTilingSpec(edge=edge):
            return MediaSize(edge, edge)
        case CanvasSpec(size=side, tiles=tiles):
            shape = max(arrangements(tiles), key=lambda g: (g.area, min(g.rows, g.cols)))
            return MediaSize(side * shape.cols, side * shape.rows)
        case NativeSpec(multiple=multiple, pictures=pictures):
            squares = min(pictures.max_pixels // multiple**2, STANDARD_SQUARES)
            side = math.isqrt(squares) * multiple
            return MediaSize(side, side)
        case LongestEdgeSpec(edge=edge):
            return MediaSize(edge, edge)
        case _:
            assert_never(spec.resolution)


def at_side(spec: ModelSpec, side: int) -> tuple[ModelSpec, MediaSize]:
    """The model that sees a square picture of `side` pixels in full, and that picture.

    A fixed resolution is changed to `side` (learned positions are stretched), one of tiles to as
    many as that takes; one that follows the picture needs no change, and an encoder of tiles knows
    no others.
    """
    if isinstance(spec.vision, TiledVitSpec):
        return spec, MediaSize(side, side)
    match spec.resolution:
        case FixedSpec() as fixed:
            seen = fixed.model_copy(update={"size": side, "shortest_edge": None})
            return spec.model_copy(update={"resolution": seen}), MediaSize(side, side)
        case AnyresSpec() as anyres:
            surface = -(-side // anyres.size) * anyres.size
            enough = anyres.model_copy(update={"pinpoints": ((surface, surface),)})
            return spec.model_copy(update={"resolution": enough}), MediaSize(side, side)
        case TilingSpec() as tiling:
            tiles = (-(-side // tiling.tile)) ** 2
            sheet = tiling.model_copy(update={"min_tiles": tiles, "max_tiles": tiles})
            return spec.model_copy(update={"resolution": sheet}), MediaSize(side, side)
        case RowTilingSpec() as rows:
            cut = _cut_at(rows, side)
            return spec.model_copy(update={"resolution": cut}), MediaSize(side, side)
        case NativeSpec(pictures=pictures) as native:
            most = max(pictures.max_pixels, side**2)
            wide = pictures.model_copy(update={"max_pixels": most})
            native = native.model_copy(update={"pictures": wide})
            return spec.model_copy(update={"resolution": native}), MediaSize(side, side)
        case CanvasSpec() as canvas:
            tiles = (-(-side // canvas.size)) ** 2
            tiled = canvas.model_copy(update={"tiles": tiles})
            return spec.model_copy(update={"resolution": tiled}), MediaSize(side, side)
        case LongestEdgeSpec() as longest:
            grown = longest.model_copy(update={"edge": max(longest.edge, side)})
            return spec.model_copy(update={"resolution": grown}), MediaSize(side, side)
        case _:
            assert_never(spec.resolution)


def _cut_at(rows: RowTilingSpec, side: int) -> RowTilingSpec:
    """The same tiles under a longest edge of `side`; tags of further tiles are as long as the
    first."""
    wider = rows.model_copy(update={"edge": side})
    if rows.tags is None:
        return wider
    count = wider.most_tiles
    tags = rows.tags.model_copy(update={"places": ((rows.tags.places[0][0],) * count,) * count})
    return wider.model_copy(update={"tags": tags})
