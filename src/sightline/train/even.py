"""Processes that run the same parts of a model, whatever their rows show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from sightline.core.geometry import MediaSize
from sightline.data.collate import TrainBatch
from sightline.model.batch import Batch
from sightline.model.visual import Idle, VisualInput, passes
from sightline.resolution.layout import Features, Learned, VisualLayout
from sightline.resolution.policy import layout
from sightline.spec.model import ModelSpec
from sightline.train.world import World

WORD = (0,)  # what is said beside a blank view, to connectors that read the user's words


@dataclass(frozen=True, slots=True)
class Use:
    """What a micro-batch runs beside the language model.

    passes: through encoder and connector, one for each size of view. told: with words of the user.
    learned: vectors of the layout.
    """

    passes: int = 0
    told: bool = False
    learned: frozenset[str] = frozenset()

    @classmethod
    def of(cls, batch: Batch) -> Use:
        """Counted from the layouts."""
        visuals = batch.visuals
        told = any(visual.instruction_ids for visual in visuals if visual.pixels)
        names = (name for visual in visuals for name in learned_names(visual.layout))
        return cls(len(passes(visuals)), told, frozenset(names))


def learned_names(laid: VisualLayout) -> frozenset[str]:
    """The learned vectors that a layout reads."""
    found = set()
    for segment in (s for item in laid.media for s in (*item.segments, *item.memory)):
        match segment:
            case Learned(name=name):
                found.add(name)
            case Features(stitch=stitch) if stitch is not None and stitch.row_end is not None:
                found.add(stitch.row_end)
            case _:
                pass
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Evener:
    """Gives micro-batches what they lack of those of other processes.

    FSDP gathers and reduces the tensors of a block whenever the block runs. A process that runs it
    less often than the others would leave them waiting, or would add up gradients of other tensors.
    So for each micro-batch, in all processes, encoder and connector run as often as in the process
    with the most sizes of views. What a process lacks it runs on one black view, the smallest of
    the model's resolution policy; no token reads the result, and its gradients are exactly zero.

    What this costs: a pass of one view of the smallest size for each pass that a process lacks
    (for a policy of fixed size that is the size of every view), and where blocks of cross-attention
    read a memory, these blocks over all tokens of a micro-batch without pictures. A single process
    pays nothing, and so do several where no process has a picture, or all have equally many sizes.
    """

    spec: ModelSpec
    world: World

    def __call__(self, micro: Sequence[TrainBatch]) -> list[TrainBatch]:
        """The same micro-batches with `idle` where other processes run more."""
        every = self.world.gathered([Use.of(one.batch) for one in micro])
        uses = zip(*every, strict=True)
        return [self._evened(one, each) for one, each in zip(micro, uses, strict=True)]

    def _evened(self, micro: TrainBatch, uses: Sequence[Use]) -> TrainBatch:
        idle = idle_of(self.spec, uses, self.world.rank)
        return replace(micro, batch=replace(micro.batch, idle=idle))


def idle_of(spec: ModelSpec, uses: Sequence[Use], rank: int) -> Idle | None:
    """What process `rank` runs beside its own; None where no process has a picture.

    A process whose views come without words, while others have some, runs one pass more for them.
    """
    told = any(use.told for use in uses)
    whole = max(use.passes + (told and not use.told) for use in uses)
    if not whole:
        return None
    blank = blank_view(spec, WORD if told else ())
    learned = frozenset().union(*(use.learned for use in uses))
    return Idle((blank,) * (whole - uses[rank].passes), tuple(sorted(learned)))


def blank_view(spec: ModelSpec, words: tuple[int, ...] = ()) -> VisualInput:
    """One black view, the smallest that the model makes of a picture of one pixel."""
    view = min(layout(spec, [MediaSize(1, 1)]).views, key=lambda v: v.size.area)
    channels = 3 * spec.vision.frames_per_view
    pixels_Chw = torch.zeros(channels, view.size.height, view.size.width)
    return VisualInput(VisualLayout((view,), ()), (pixels_Chw,), words)
