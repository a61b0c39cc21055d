"""Muon for linear layers, AdamW for the rest: torch's own optimisers, bit for bit."""

from __future__ import annotations

import torch
from tests.helpers.tiny import tiny_model, tiny_spec
from tests.helpers.toy_task import stage
from torch import nn

from sightline.nn.linear import Linear
from sightline.train.optim import MasterOptimizer, linear_weights
from sightline.train.parts import groups

SPEC = stage(optimizer="muon", weight_decay=0.1, betas=(0.8, 0.9), lr=0.01)


def model():
    return tiny_model(tiny_spec(), seed=3)


def fill(module, step):
    generator = torch.Generator().manual_seed(step)
    for p in module.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


def test_linear_layers_follow_torchs_muon_and_the_rest_its_adamw():
    mine, theirs = model(), model()
    optim = MasterOptimizer(groups(mine, SPEC), SPEC, linear_weights(mine))
    matrices = {id(m.weight) for m in theirs.modules() if isinstance(m, Linear)}
    by_muon = [p for p in theirs.parameters() if id(p) in matrices]
    rest = [p for p in theirs.parameters() if id(p) not in matrices]
    muon = torch.optim.Muon(
        by_muon, lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": 0.1},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=0.01,
        betas=(0.8, 0.9),
        fused=True,
    )
    for step in range(5):
        fill(mine, step)
        fill(theirs, step)
        in_order = [p for group in groups(theirs, SPEC) for p in group.parameters]
        nn.utils.clip_grad_norm_(in_order, 1.0)
        optim.step(0.01, 1.0)
        muon.step()
        adamw.step()
    for (name, a), b in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_embeddings_and_heads_are_not_for_muon():
    built = model()
    chosen = {id(p) for p in linear_weights(built)}
    assert id(built.language.embed.weight) not in chosen
    assert all(id(p) not in chosen for p in built.language.head.parameters())
    assert id(built.language.blocks[0].attn.q.weight) in chosen


def test_momentum_survives_a_checkpoint():
    whole, cut = model(), model()
    undisturbed = MasterOptimizer(groups(whole, SPEC), SPEC, linear_weights(whole))
    before = MasterOptimizer(groups(cut, SPEC), SPEC, linear_weights(cut))
    for step in range(3):
        fill(whole, step)
        undisturbed.step(0.01, 1.0)
        fill(cut, step)
        before.step(0.01, 1.0)
    saved = {k: v.clone() for k, v in before.tensors().items()}
    assert any(k.endswith("momentum_buffer") for k in saved)
    resumed = model()
    after = MasterOptimizer(groups(resumed, SPEC), SPEC, linear_weights(resumed))
    after.load(saved)
    for step in (3, 4):
        fill(whole, step)
        undisturbed.step(0.01, 1.0)
        fill(resumed, step)
        after.step(0.01, 1.0)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
