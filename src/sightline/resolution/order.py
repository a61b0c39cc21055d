"""The items of a layout in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sightline.resolution.layout import Features, MediaLayout, View, VisualLayout


def in_order(laid: VisualLayout, order: Sequence[int]) -> VisualLayout:
    """The same items, the one that was `order[0]` first; views go along with them."""
    views: list[View] = []
    spans: list[MediaLayout] = []
    for number, old in enumerate(order):
        own = [i for i, view in enumerate(laid.views) if view.media == old]
        by = len(views) - own[0]
        item = laid.media[old]
        segments = tuple(_later(s, by) if isinstance(s, Features) else s for s in item.segments)
        memory = tuple(_later(s, by) if isinstance(s, Features) else s for s in item.memory)
        spans.append(replace(item, segments=segments, memory=memory))
        views += [replace(laid.views[i], media=number) for i in own]
    sources = tuple(laid.sources[old] for old in order) if laid.sources else ()
    return VisualLayout(tuple(views), tuple(spans), sources, laid.notes)


def _later(run: Features, by: int) -> Features:
    return replace(run, view=run.view + by)
