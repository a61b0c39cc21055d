"""Where each token of a conversation stands, as the language model counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import assert_never

from sightline.core.errors import SpecError
from sightline.resolution.layout import Features, MediaLayout, Segment, VisualLayout
from sightline.spec import ModelSpec
from sightline.spec.fusion import InSequenceSpec

Place = tuple[int, int, int]


def positions(
    spec: ModelSpec, tokens: int, layout: VisualLayout, starts: Sequence[int]
) -> list[list[int]]:
    """One list of `tokens` positions for every axis.

    `starts` are the places in the sequence at which the media of `layout` begin, one each.
    """
    scheme = spec.fusion.positions if isinstance(spec.fusion, InSequenceSpec) else "sequential"
    match scheme:
        case "sequential":
            return [list(range(tokens))]
        case "grid":
            places = _grid_places(tokens, layout.media, starts)
            return [list(axis) for axis in zip(*places, strict=True)] or [[], [], []]
        case "shared":
            return [list(_shared_places(tokens, layout.media, starts))]
        case _:
            assert_never(scheme)


def _grid_places(
    tokens: int, media: Sequence[MediaLayout], starts: Sequence[int]
) -> Iterator[Place]:
    """Time, row and column of every token (M-RoPE, Wang et al. 2024).

    Text counts on with equal axes. Neighbouring runs of features, the views of one clip, share an
    origin, which is the time of the first; whatever follows goes on beyond the largest of their
    places on any axis. (transformers 5.23 goes on beyond the larger side of the grid: after a long
    clip text would stand inside it.)
    """
    done = free = 0
    for start, item in sorted(zip(starts, media, strict=True), key=lambda pair: pair[0]):
        yield from ((free + i,) * 3 for i in range(start - done))
        done, free = start, free + start - done
        for visual, run in groupby(item.segments, key=lambda s: isinstance(s, Features)):
            places = list(_run_places(list(run), visual))
            yield from ((free + t, free + y, free + x) for t, y, x in places)
            done, free = done + len(places), free + 1 + max(max(place) for place in places)
    yield from ((free + i,) * 3 for i in range(tokens - done))


def _shared_places(
    tokens: int, media: Sequence[MediaLayout], starts: Sequence[int]
) -> Iterator[int]:
    """One axis on which all features of a view share a place, text and learned vectors count."""
    done = free = 0
    for start, item in sorted(zip(starts, media, strict=True), key=lambda pair: pair[0]):
        yield from range(free, free + start - done)
        done, free = start, free + start - done
        for segment in item.segments:
            one = isinstance(segment, Features)
            yield from ((free + (0 if one else i)) for i in range(segment.tokens))
            done, free = done + segment.tokens, free + (1 if one else segment.tokens)
    yield from range(free, free + tokens - done)


def _run_places(run: Sequence[Segment], visual: bool) -> Iterator[Place]:
    """Places from the origin of the run."""
    if not visual:
        yield from ((i,) * 3 for i in range(sum(segment.tokens for segment in run)))
        return
    features = [segment for segment in run if isinstance(segment, Features)]
    for segment in features:
        yield from _cells(segment, segment.time - features[0].time)


def _cells(run: Features, time: int) -> Iterator[Place]:
    """Row by row; the vector that ends a row stands behind its last column."""
    wide = run.grid.cols + (run.stitch is not None and run.stitch.row_end is not None)
    if wide * run.grid.rows != run.tokens:
        raise SpecError(
            "fusion.positions",
            f"grid needs rows and columns, {run.tokens} tokens form none",
            "use sequential, or a connector that keeps the grid",
        )
    for row in range(run.grid.rows):
        yield from ((time, row, col) for col in range(wide))
