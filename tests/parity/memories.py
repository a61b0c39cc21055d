"""Conversations whose pictures lie in a memory, and comparisons that take any inputs."""

# T tokens  V vocabulary  N steps

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from tests.helpers.tiny import Item
from tests.parity.reference import TOLERANCE, our_greedy, words
from torch import Tensor

from sightline.core.geometry import MediaSize
from sightline.model.reference import reference_logits
from sightline.model.visual import VisualInput
from sightline.model.vlm import Vlm
from sightline.prompt.encode import Span
from sightline.resolution.policy import layout
from sightline.spec import ModelSpec

Inputs = Callable[[Item], dict[str, Tensor]]
SIZES = {"wide": (60, 20), "tall": (9, 40), "small": (20, 15), "large": (300, 280)}


def conversation(spec: ModelSpec, *parts: list[int] | str, seed: int = 0) -> Item:
    """Runs of ids, and names of SIZES for pictures of noise."""
    ids: list[int] = []
    spans: list[Span] = []
    sizes: list[MediaSize] = []
    for part in parts:
        if isinstance(part, str):
            spans.append(Span(len(ids), len(ids) + 1, len(spans)))
            sizes.append(MediaSize(*SIZES[part]))
        ids += [spec.prompt.image.id] if isinstance(part, str) else part
    laid = layout(spec, sizes)
    generator = torch.Generator().manual_seed(seed)
    pixels = tuple(
        torch.randn(3, view.size.height, view.size.width, generator=generator)
        for view in laid.views
    )
    none = torch.zeros(len(ids), dtype=torch.bool)
    places = torch.arange(len(ids))[None]
    return Item(tuple(ids), none, places, VisualInput(laid, pixels), tuple(spans))


def conversations(spec: ModelSpec) -> dict[str, Item]:
    """Text, a picture first and later, several of unequal sizes, neighbours, in a second turn."""
    parts: dict[str, tuple[list[int] | str, ...]] = {
        "text": (words(9, 1),),
        "first": ("small", words(7, 2)),
        "one": (words(3, 3), "wide", words(6, 4)),
        "several": (words(1, 5), "wide", words(4, 6), "tall", words(3, 7), "large", words(2, 8)),
        "neighbours": (words(2, 9), "small", "tall", words(3, 10), "wide", "large", words(5, 11)),
        "second turn": (words(12, 12), "tall", words(4, 13)),
    }
    each = enumerate(parts.items())
    return {name: conversation(spec, *some, seed=seed) for seed, (name, some) in each}


@torch.no_grad()
def their_logits(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """float32[T, V] of the reference."""
    return model(**inputs).logits[0].float()


def difference(ours: Vlm, theirs: Any, items: Mapping[str, Item], inputs: Inputs) -> float:
    """The largest absolute difference of logits over all positions of all conversations."""
    gaps = [
        (reference_logits(ours, item) - their_logits(theirs, inputs(item))).abs().max()
        for item in items.values()
    ]
    return float(torch.stack(gaps).max())


@torch.no_grad()
def their_greedy(model: Any, inputs: Mapping[str, Tensor], count: int) -> tuple[list[int], Tensor]:
    """The reference's own cached greedy answer, and its scores [N, V]."""
    model.generation_config.eos_token_id = None
    out = model.generate(
        **inputs,
        max_new_tokens=count,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    start = inputs["input_ids"].shape[1]
    return out.sequences[0, start:].tolist(), torch.cat(out.scores).float()


def assert_same_greedy(
    ours: Vlm, theirs: Any, items: Mapping[str, Item], inputs: Inputs, count: int = 32
) -> None:
    """Equal answers, ours in one batch of unequal prompts; a tie of the reference's two best may
    go either way once."""
    answers, ties = our_greedy(ours, list(items.values()), count), 0
    for (name, item), answer in zip(items.items(), answers, strict=True):
        wanted, scores_NV = their_greedy(theirs, inputs(item), count)
        if answer == wanted:
            continue
        step = next(i for i, (a, b) in enumerate(zip(answer, wanted, strict=True)) if a != b)
        best = scores_NV[step].topk(2).values
        assert best[0] - best[1] <= TOLERANCE, f"{name} differs at step {step}"
        ties += 1
    assert ties <= 1, f"{ties} ties"
