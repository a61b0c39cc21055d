"""Activations made again: the same gradients, dropout included, and they reach vision adapters."""

# B sequences  T tokens  D width

from __future__ import annotations

import copy

import pytest
import torch
from tests.helpers.tiny import item, tiny_model, tiny_spec
from torch import Tensor

from sightline.model.batch import collate
from sightline.model.vlm import Vlm
from sightline.nn.lora import adapters_of, add_adapters, blocks_of, matrices_of
from sightline.nn.recompute import Recomputed, recompute
from sightline.vision.vit import VitBlock

BATCH = collate([item(5, 1, 4), item(2, 2, 3, seed=1)], 0, "right")


def adapted(dropout: float = 0.0, dora: bool = False) -> Vlm:
    """Everything frozen but adapters on encoder and decoder."""
    model = tiny_model(tiny_spec(vision={"depth": 3})).requires_grad_(False).train()
    for part in (model.vision, model.language):
        add_adapters(matrices_of(part), rank=2, alpha=4, dropout=dropout, dora=dora)
    with torch.no_grad():
        for _, _, adapter in adapters_of(model):
            adapter.b.normal_(0, 0.3)
    return model


def blocks(model: Vlm) -> list[torch.nn.Module]:
    return [*blocks_of(model.vision), *blocks_of(model.language)]


def gradients(model: Vlm) -> dict[str, Tensor]:
    model.zero_grad()
    torch.manual_seed(4)
    model.language.logits(model(BATCH)).square().mean().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def runs(model: Vlm) -> list[int]:
    """How often the first matrix of every block runs in a forward and a backward pass."""
    counts = [0] * len(blocks(model))

    def count(at: int) -> None:
        counts[at] += 1

    hooks = [
        block.attn.q.register_forward_hook(lambda *_, at=at: count(at))
        for at, block in enumerate(blocks(model))
    ]
    gradients(model)
    for hook in hooks:
        hook.remove()
    return counts


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_equal_and_reach_vision_adapters(dropout, dora):
    model = adapted(dropout, dora)
    wanted = gradients(model)
    recompute(blocks(model))
    found = gradients(model)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    used = model.spec.vision.blocks_used
    vision = [name for name in found if name.startswith("vision.blocks.") and ".adapter." in name]
    assert len(vision) == used * 6 * (3 if dora else 2)
    assert all(found[name].any() for name in vision)
    assert not BATCH.pixels[0].requires_grad


def test_blocks_run_twice_until_it_is_taken_back():
    model = adapted()
    once = runs(model)
    assert set(once) == {1, 0} or set(once) == {1}
    recompute(blocks(model))
    assert runs(model) == [2 * count for count in once]
    recompute(blocks(model), on=False)
    assert runs(model) == once
    recompute(blocks(model))
    assert runs(model) == [2 * count for count in once]
    with torch.no_grad():
        assert model(BATCH).isfinite().all()


def test_what_is_kept_between_the_passes_is_small():
    model, kept = adapted(), []

    def count(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    def total() -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            model.language.logits(model(BATCH))
        return sum(kept)

    whole = total()
    recompute(blocks(model))
    assert total() < 0.25 * whole


def test_names_kinds_and_copies_stay():
    model = adapted()
    names = list(model.state_dict())
    recompute(blocks(model))
    assert list(model.state_dict()) == names
    block = model.vision.blocks[0]
    assert isinstance(block, VitBlock) and isinstance(block, Recomputed)
    assert type(block).__name__ == "VitBlock"
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert gradients(other)["vision.blocks.0.attn.q.adapter.a"].any()


def test_weights_that_all_train_have_equal_gradients():
    model = tiny_model().train()
    wanted = gradients(model)
    recompute(blocks(model))
    found = gradients(model)
    assert found.keys() == wanted.keys() and all(torch.equal(found[n], wanted[n]) for n in wanted)
