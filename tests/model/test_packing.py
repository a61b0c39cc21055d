"""Packed = unpacked: loss, every gradient, and nothing that leaks between documents."""

# B sequences  T tokens

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.fusion.test_cross_attention import FUSIONS as CROSS
from tests.helpers.speaking import assistant, chat_spec, picture, tokenizer, user
from tests.helpers.tiny import DECODERS, Json, item, randomise, tiny_spec
from tests.model.combinations import CONNECTORS, FUSIONS, RESOLUTIONS, VIT, Combination
from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import SpecError, TrainError
from sightline.model.batch import Batch, collate, pack
from sightline.model.build import build_model
from sightline.model.prepare import Prepared, Preparer
from sightline.model.vlm import Vlm
from sightline.resolution.groups import Groups
from sightline.spec import ModelSpec
from sightline.spec.packing import packing_refusal

TOLERANCE = 1e-5  # of each gradient's largest value
NOISE = 1e-7  # of the largest of all: what rounding leaves of gradients that are zero
WORDS = ("left above", "a red star", "it is two, and far below", "yes")


def loud(spec: ModelSpec) -> Vlm:
    """Random weights, open gates."""
    model = build_model(spec)
    randomise(model, 0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("_gate"):
                p.fill_(0.8)
    return model


def documents(spec: ModelSpec) -> list[Prepared]:
    """Text alone, one picture, several of different sizes, neighbours of one length."""
    prepare = Preparer(spec, tokenizer())
    a, b, c = picture(30, 14, seed=1), picture(12, 20, seed=2), picture(16, 16, seed=3)
    asked: list[list[Any]] = [
        ["Where is it?"],
        [a, "Where is it?"],
        [b, "What is this?", c, a, "And this?"],
        ["Where is it?"],
        ["Where was it?"],
        ["How many?", b],
    ]
    rows = [
        prepare([user(*parts), assistant(WORDS[i % 4])], add_generation_prompt=False)
        for i, parts in enumerate(asked)
    ]
    return [*rows, prepare([user("Look:", c)], add_generation_prompt=False)]


def wanted(items: Sequence[Prepared]) -> list[list[bool]]:
    """Every token is a target that has one before it, so that each column counts."""
    return [[False] + [True] * (len(one.token_ids) - 1) for one in items]


def loss_of(model: Vlm, batch: Batch, targets_BT: Tensor, number: int) -> Tensor:
    """Cross-entropy of the targets over `number`."""
    predicted_BT = targets_BT[:, 1:]
    logits_RV = model.language.logits(model(batch)[:, :-1][predicted_BT])
    wanted_R = batch.token_ids_BT[:, 1:][predicted_BT]
    return F.cross_entropy(logits_RV, wanted_R, reduction="sum") / number


def gradients(
    model: Vlm, batches: Sequence[tuple[Batch, Tensor]]
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients accumulated over batches, by the targets of all of them."""
    number = sum(int(targets_BT[:, 1:].sum()) for _, targets_BT in batches)
    model.zero_grad()
    total = 0.0
    for batch, targets_BT in batches:
        loss = loss_of(model, batch, targets_BT, number)
        loss.backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def packed(items: Sequence[Prepared]) -> tuple[Batch, Tensor]:
    return pack(items), torch.tensor([[mark for row in wanted(items) for mark in row]])


def padded(items: Sequence[Prepared]) -> tuple[Batch, Tensor]:
    batch = collate(items, 0, "right")
    targets_BT = torch.zeros(batch.token_ids_BT.shape, dtype=torch.bool)
    for row, marks in enumerate(wanted(items)):
        targets_BT[row, : len(marks)] = torch.tensor(marks)
    return batch, targets_BT


def worst(found: dict[str, Tensor], truth: dict[str, Tensor]) -> tuple[float, str]:
    """The largest difference of a gradient over that tensor's maximum, and whose it is."""
    assert found.keys() == truth.keys()
    floor = NOISE / TOLERANCE * max(float(g.abs().max()) for g in truth.values())
    gaps = {
        name: float((found[name] - g).abs().max()) / max(float(g.abs().max()), floor)
        for name, g in truth.items()
    }
    name = max(gaps, key=gaps.__getitem__)
    return gaps[name], name


def check(spec: ModelSpec, items: Sequence[Any] | None = None) -> None:
    """Against each document alone, and against all of them padded."""
    model = loud(spec)
    items = documents(spec) if items is None else items
    loss, found = gradients(model, [packed(items)])
    for batches in ([padded([one]) for one in items], [padded(items)]):
        alone, truth = gradients(model, batches)
        assert abs(loss - alone) <= TOLERANCE * abs(alone)
        gap, name = worst(found, truth)
        assert gap <= TOLERANCE, (gap, name)


def valid(combination: Combination) -> bool:
    try:
        combination.spec()
    except SpecError:
        return False
    return True


def some_combinations() -> Iterator[Combination]:
    """Every connector with every fusion, every resolution with every fusion."""
    for fusion in FUSIONS:
        yield from (Combination(r, "mlp", fusion, "llama") for r in RESOLUTIONS)
        yield from (Combination("fixed", c, fusion, "phi") for c in CONNECTORS if c != "mlp")


@pytest.mark.parametrize("one", list(filter(valid, some_combinations())), ids=lambda c: c.name)
def test_packed_equals_unpacked(one: Combination) -> None:
    check(one.spec())


MASKS: dict[str, Json] = {
    mask: {"fusion": {"kind": "interleave", "mask": mask}} for mask in ("causal", "prefix", "media")
}
PLACES: dict[str, Json] = {
    "grid": {
        "resolution": {"kind": "native", **RESOLUTIONS["native"]},
        "vision": {**VIT, "kind": "vit", "image_size": 16, "deep_layers": [1]},
        "connector": {"kind": "merger", "levels": 1},
        "fusion": {"kind": "deep_stack", "levels": 1, "positions": "grid", "mask": "media"},
        "language": {"positions": {"sections": (2, 1, 1)}},
    },
    "shared": {"fusion": {"kind": "visual_expert", "positions": "shared"}},
    "expert in windows": {
        "fusion": {"kind": "visual_expert", "mask": "prefix"},
        "language": {"attention": {"window": 5, "windowed_layers": (1,)}},
    },
}
READING: dict[str, Json] = {
    f"{name}, {sees}, {blind}": {
        "fusion": {"kind": "cross_attention", **fusion, "sees": sees, "blind": blind}
    }
    for name, fusion in CROSS.items()
    for sees in ("latest", "run", "all")
    for blind in ("nothing", "everything")
}
PACKED = [name for name in DECODERS if name != "dynamic"]
WINDOWED = ("window_one", "gemma2", "gemma3", "everything")


@pytest.mark.parametrize("name", PACKED)
def test_every_decoder(name: str) -> None:
    """Windows, caps, norms, positions."""
    check(chat_spec(language=DECODERS[name]))


@pytest.mark.parametrize("name", ["base", *WINDOWED])
@pytest.mark.parametrize("mask", ["prefix", "media"])
def test_groups_with_and_without_windows(mask: str, name: str) -> None:
    check(chat_spec(**MASKS[mask], language=DECODERS[name]))


@pytest.mark.parametrize("name", PLACES)
def test_every_kind_of_position(name: str) -> None:
    change = PLACES[name]
    language = chat_spec(language=change.get("language", {})).model_dump()["language"]
    check(ModelSpec.parse(chat_spec().model_dump() | change | {"language": language}))


@pytest.mark.parametrize("name", READING)
def test_every_memory(name: str) -> None:
    base = chat_spec().model_dump()
    check(ModelSpec.parse(base | READING[name]))


@pytest.mark.parametrize("kind", ["interleave", "visual_expert"])
def test_a_picture_may_end_a_document_and_begin_the_next(kind: str) -> None:
    """The last visual row of a document is followed by none; where a document sees itself whole,
    others hear of it."""
    items = [item([5, 6], 1), item(1, [7, 8], seed=1), item(2, seed=2), item(1, [9], seed=3)]
    whole = [replace(one, groups=Groups((0,) * len(one.token_ids))) for one in items]
    check(tiny_spec(fusion={"kind": kind}), items)
    check(tiny_spec(fusion={"kind": kind}), whole)


def test_accumulation_of_one_by_eight_equals_eight_by_one() -> None:
    """Eight documents in one row, in eight rows one after the other, and in rows of several."""
    spec = chat_spec(**MASKS["media"])
    model, items = loud(spec), [*documents(spec), documents(spec)[1]]
    loss, whole = gradients(model, [packed(items)])
    for runs in ([items[i : i + 1] for i in range(8)], [items[:3], items[3:4], items[4:]]):
        total, parts = gradients(model, [packed(run) for run in runs])
        assert abs(total - loss) <= TOLERANCE * abs(loss)
        gap, name = worst(parts, whole)
        assert gap <= TOLERANCE, (gap, name)


LEAKS: dict[str, Json] = {
    **MASKS,
    "windows": {"language": DECODERS["gemma3"], **MASKS["media"]},
    "expert": {"fusion": {"kind": "visual_expert"}},
}


@pytest.mark.parametrize("name", LEAKS)
def test_no_document_hears_of_another(name: str) -> None:
    """Not a bit of the logits of one depends on the embeddings of the others."""
    no_leak(chat_spec(**LEAKS[name]))


@pytest.mark.parametrize("name", READING)
def test_no_document_sees_the_pictures_of_another(name: str) -> None:
    no_leak(ModelSpec.parse(chat_spec().model_dump() | READING[name]))


def no_leak(spec: ModelSpec) -> None:
    model, items = loud(spec), documents(spec)
    batch = pack(items)
    lengths = [len(one.token_ids) for one in items]
    pixels = [view for visual in batch.visuals for view in visual.pixels]
    views = [len(visual.pixels) for visual in batch.visuals]
    for view in pixels:
        view.requires_grad_()
    embedded: list[Tensor] = []
    embed = model.language.embed_tokens

    def remember(ids: Tensor) -> Tensor:
        embedded.append(embed(ids).detach().requires_grad_())
        return embedded[-1]

    model.language.embed_tokens = remember  # type: ignore[method-assign]
    hidden_1TD = model(batch)
    for number, own_TD in enumerate(hidden_1TD[0].split(lengths)):
        loud_sum = (own_TD * torch.randn_like(own_TD)).sum()
        on_words, *on_pixels = torch.autograd.grad(
            loud_sum, [embedded[0], *pixels], retain_graph=True, allow_unused=True
        )
        for other, part in enumerate(on_words[0].split(lengths)):
            assert bool((part != 0).any()) == (other == number)
        at = 0
        for other, count in enumerate(views):
            for gradient in on_pixels[at : at + count]:
                seen = gradient is not None and bool((gradient != 0).any())
                assert not seen or other == number
            at += count


def test_what_follows_the_whole_length_is_refused() -> None:
    """Dynamic scaling turns every token by the length of the sequence; nothing else is refused."""
    specs = {name: chat_spec(language=DECODERS[name]) for name in DECODERS}
    refused = {name: packing_refusal(spec) for name, spec in specs.items()}
    assert [name for name, reason in refused.items() if reason is not None] == ["dynamic"]
    assert "dynamic" in str(refused["dynamic"])
    model = loud(specs["dynamic"])
    items = documents(model.spec)
    model(collate(items, 0, "right"))
    with pytest.raises(TrainError, match="dynamic"):
        model(pack(items))
