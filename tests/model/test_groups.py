"""Prompts and pictures that see themselves: cached, batched and reference paths agree."""

# B sequences  T tokens

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.helpers.tiny import IMAGE, Item, item, tiny_model, tiny_spec, words

from sightline.core.geometry import Grid
from sightline.model.batch import collate
from sightline.model.beam import beam_search
from sightline.model.generate import generate
from sightline.model.prepare import prompt_tokens, visual_runs
from sightline.model.reference import reference_greedy, reference_logits
from sightline.model.vlm import Vlm
from sightline.prompt.encode import Span
from sightline.resolution.groups import Groups, groups
from sightline.resolution.layout import Features, Learned, MediaLayout, Text, VisualLayout
from sightline.spec.sampling import Sampling

WINDOWS = {
    "no window": {},
    "window": {"attention": {"window": 3}},
    "some": {"attention": {"window": 4, "windowed_layers": (0, 2)}},
    "capped": {"attention": {"window": 3, "soft_cap": 2.0}, "block": "sandwich"},
}
MASKS = ("prefix", "media")


def seeing(mask: str, window: str) -> Vlm:
    return tiny_model(
        tiny_spec(fusion={"kind": "interleave", "mask": mask}, language=WINDOWS[window])
    )


def grouped(model: Vlm, one: Item) -> Item:
    """With the groups that the spec asks for; each picture is a run of placeholders."""
    ids, runs, start = one.token_ids, [], None
    for at, token in enumerate((*ids, -1)):
        if token == IMAGE and start is None:
            start = at
        elif token != IMAGE and start is not None:
            runs.append((start, at))
            start = None
    return replace(one, groups=groups(model.spec, len(ids), len(ids), runs))


def chats(model: Vlm) -> list[Item]:
    some = (
        item(words(3, 1), 1, words(5, 2), seed=1),
        item(words(9, 3)),
        item(1, words(2, 4), 1, words(1, 5), seed=2),
    )
    return [grouped(model, one) for one in some]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("mask", MASKS)
def test_cached_batches_equal_the_reference(mask: str, window: str) -> None:
    model = seeing(mask, window)
    items = chats(model)
    sampling = Sampling(max_tokens=7)
    steps = zip(*generate(model, items, sampling), strict=True)
    answers = [[token for token in row if token is not None] for row in steps]
    assert answers == [reference_greedy(model, one, 7) for one in items]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("mask", MASKS)
def test_logits_of_a_batch_equal_those_alone(mask: str, side: str) -> None:
    model = seeing(mask, "some")
    items = chats(model)
    batch = collate(items, 0, side)  # type: ignore[arg-type]
    with torch.inference_mode():
        logits_BTV = model.language.logits(model(batch))
    longest = batch.token_ids_BT.shape[1]
    for row, one in enumerate(items):
        length = len(one.token_ids)
        own = slice(longest - length, None) if side == "left" else slice(0, length)
        gap = logits_BTV[row, own] - reference_logits(model, one)
        assert float(gap.abs().max()) < 1e-5


@pytest.mark.parametrize("mask", MASKS)
def test_the_groups_change_the_numbers(mask: str) -> None:
    model = seeing(mask, "no window")
    one = chats(model)[0]
    gap = reference_logits(model, one) - reference_logits(model, replace(one, groups=None))
    assert float(gap.abs().max()) > 1e-3


@pytest.mark.parametrize("mask", MASKS)
def test_one_beam_is_greedy(mask: str) -> None:
    model = seeing(mask, "window")
    one = chats(model)[2]
    [best] = beam_search(model, one, Sampling(max_tokens=6, beams=1))
    assert list(best.token_ids) == reference_greedy(model, one, 6)


@pytest.mark.parametrize("mask", MASKS)
def test_it_trains_as_it_answers(mask: str) -> None:
    """The kernels of training see the same tokens."""
    model = seeing(mask, "capped")
    batch = collate(chats(model), 0, "right")
    trained = model.language.logits(model(batch))
    with torch.inference_mode():
        asked = model.language.logits(model(batch))
    assert float((trained.detach() - asked).abs().max()) < 1e-5
    trained.logsumexp(-1).sum().backward()
    for name, p in model.language.named_parameters():
        assert p.grad is not None and float(p.grad.abs().max()) > 0, name


def test_a_prompt_ends_where_the_first_answer_begins() -> None:
    assert prompt_tokens([False, False, True, False, True]) == 2
    assert prompt_tokens([False, False]) == 2


def test_runs_are_cut_by_text_and_by_media() -> None:
    """Features and learned vectors side by side are one run; row tags stand between."""
    row = Features(0, 3, Grid(1, 3))
    first = MediaLayout((row, Learned("newline"), Text((7,)), row, Text((8,))))
    layout = VisualLayout((), (first, MediaLayout((row,))))
    spans = (Span(2, 11, 0), Span(11, 14, 1))
    assert visual_runs(spans, layout) == [(2, 6), (7, 10), (11, 14)]


def test_a_mixed_batch_keeps_the_groups_of_each() -> None:
    model = seeing("media", "window")
    items = chats(model)
    assert items[1].groups is None
    mask = collate(items, 0, "left").mask
    assert mask.groups_in_window and mask.group_BS is not None
    assert mask.group_BS[1].tolist() == [-1] * mask.group_BS.shape[1]
    assert isinstance(items[0].groups, Groups)
