"""Conversations about pictures and clips of any size, as both sides are given them."""

# T tokens  V vocabulary

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from tests.helpers.tiny import Item
from tests.parity.reference import TOLERANCE, our_greedy, our_logits
from torch import Tensor

from sightline.core.geometry import MediaSize
from sightline.model.visual import VisualInput
from sightline.model.vlm import Vlm
from sightline.resolution.layout import Features, Segment, Stitch, Text, VisualLayout
from sightline.resolution.policy import layout
from sightline.spec import ModelSpec

Part = list[int] | MediaSize
Chats = Mapping[str, "Seen"]
MOST_TILES = 4


def picture(width: int, height: int) -> MediaSize:
    return MediaSize(width, height)


def clip(frames: int, width: int = 30, height: int = 20) -> MediaSize:
    return MediaSize(width, height, frames=frames, video=True)


@dataclass(frozen=True)
class Seen:
    """A conversation for us, and the inputs of the reference for the same pixels."""

    item: Item
    inputs: dict[str, Tensor]


def seen(spec: ModelSpec, *parts: Part, seed: int = 0) -> Seen:
    """Runs of ids, pictures and clips; each view has random pixels."""
    media = [part for part in parts if isinstance(part, MediaSize)]
    laid = layout(spec, media)
    generator = torch.Generator().manual_seed(seed)
    pixels = tuple(
        torch.randn(3, view.size.height, view.size.width, generator=generator)
        for view in laid.views
    )
    ids, marks = _sequence(spec, parts, laid)
    item = Item(tuple(ids), torch.tensor(marks), torch.arange(len(ids))[None],
                VisualInput(laid, pixels))  # fmt: skip
    return Seen(item, {"input_ids": torch.tensor([ids])} | _inputs(media, laid, pixels))


def _sequence(
    spec: ModelSpec, parts: Sequence[Part], laid: VisualLayout
) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    marks: list[bool] = []
    spans = iter(laid.media)
    for part in parts:
        if isinstance(part, MediaSize):
            token = spec.prompt.video if part.video else spec.prompt.image
            assert token is not None
            span = next(spans)
            assert not any(isinstance(segment, Text) for segment in span.segments)
            ids, marks = ids + [token.id] * span.tokens, marks + [True] * span.tokens
        else:
            ids, marks = ids + part, marks + [False] * len(part)
    return ids, marks


def _inputs(
    media: Sequence[MediaSize], laid: VisualLayout, pixels: Sequence[Tensor]
) -> dict[str, Tensor]:
    """As the processors stack them: pictures filled up with tiles of zeros, here always to as many
    as one may have (also where nothing of them would remain, and we have none); clips of equal
    length together."""
    own = [[pixels[i] for i, view in enumerate(laid.views) if view.media == number]
           for number in range(len(media))]  # fmt: skip
    stills = [torch.stack(v) for v, item in zip(own, media, strict=True) if not item.video]
    clips = [torch.stack(v) for v, item in zip(own, media, strict=True) if item.video]
    inputs: dict[str, Tensor] = {}
    if stills:
        most = torch.zeros(1 + MOST_TILES, *stills[0].shape[1:])
        padded = torch.nn.utils.rnn.pad_sequence([most, *stills], batch_first=True)[1:]
        sizes = [[item.height, item.width] for item in media if not item.video]
        inputs |= {"pixel_values": padded, "image_sizes": torch.tensor(sizes)}
    if clips:
        inputs["pixel_values_videos"] = torch.stack(clips)
    return inputs


@torch.no_grad()
def their_logits(model: Any, chat: Seen) -> Tensor:
    """float32 [T, V] of the reference."""
    return model(**chat.inputs).logits[0].float()


def difference(ours: Vlm, theirs: Any, chats: Chats) -> float:
    """The largest absolute difference of logits over all positions of all conversations."""
    gaps = [
        (our_logits(ours, chat.item) - their_logits(theirs, chat)).abs().max()
        for chat in chats.values()
    ]
    return float(torch.stack(gaps).max())


@torch.no_grad()
def their_greedy(model: Any, chat: Seen, count: int) -> tuple[list[int], Tensor]:
    """The reference's own cached greedy answer, and its scores [count, V]."""
    model.generation_config.eos_token_id = None
    out = model.generate(
        **chat.inputs,
        attention_mask=torch.ones_like(chat.inputs["input_ids"]),
        max_new_tokens=count,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    answer = out.sequences[0, chat.inputs["input_ids"].shape[1] :].tolist()
    return answer, torch.cat(out.scores).float()


def assert_same_greedy(ours: Vlm, theirs: Any, chats: Chats, count: int = 32) -> None:
    """The same tokens for `count` steps, in one batch of unequal prompts on our side.

    A step may differ only where the reference's two best logits are closer than the tolerance;
    more than one such tie per model fails.
    """
    answers = our_greedy(ours, [chat.item for chat in chats.values()], count)
    ties = 0
    for (name, chat), answer in zip(chats.items(), answers, strict=True):
        wanted, scores_NV = their_greedy(theirs, chat, count)
        if answer == wanted:
            continue
        step = next(i for i, (a, b) in enumerate(zip(answer, wanted, strict=True)) if a != b)
        best = scores_NV[step].topk(2).values
        assert best[0] - best[1] <= TOLERANCE, f"{name} differs at step {step}"
        ties += 1
    assert ties <= 1, f"{ties} ties"


def segments_changed(chat: Seen, change: Callable[[Segment], Segment]) -> Seen:
    """The same sequence and pixels under a layout that is slightly wrong."""
    laid = chat.item.visual.layout
    media = tuple(
        replace(item, segments=tuple(change(segment) for segment in item.segments))
        for item in laid.media
    )
    return _with_layout(chat, replace(laid, media=media))


def stitch_changed(chat: Seen, change: Callable[[Stitch], Stitch]) -> Seen:
    """The same, with other stitches."""

    def changed(segment: Segment) -> Segment:
        if isinstance(segment, Features) and segment.stitch is not None:
            return replace(segment, stitch=change(segment.stitch))
        return segment

    return segments_changed(chat, changed)


def order_changed(chat: Seen) -> Seen:
    """The segments of each picture or clip, last first."""
    laid = chat.item.visual.layout
    media = tuple(replace(item, segments=item.segments[::-1]) for item in laid.media)
    return _with_layout(chat, replace(laid, media=media))


def pool_changed(chat: Seen, **changes: Any) -> Seen:
    """Views pooled in another way."""
    laid = chat.item.visual.layout
    views = tuple(
        view if view.pool is None else replace(view, pool=view.pool.model_copy(update=changes))
        for view in laid.views
    )
    return _with_layout(chat, replace(laid, views=views))


def _with_layout(chat: Seen, laid: VisualLayout) -> Seen:
    return replace(chat, item=replace(chat.item, visual=replace(chat.item.visual, layout=laid)))
