"""What trains: every parameter in one part, rates of blocks, adapters from stage to stage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.tiny import tiny_model, tiny_spec
from tests.helpers.toy_task import batch_of, batches, fresh, optimiser, stage, train
from tests.planner.specs import SWITCHES

from sightline.core.errors import TrainError
from sightline.model.build import build_model
from sightline.nn.lora import adapters_of
from sightline.spec.train import PARTS
from sightline.train.losses.next_token import next_token
from sightline.train.parts import groups, parameters_of, prepare_parts, table
from sightline.train.recipe import read_recipe


@pytest.mark.parametrize("name", SWITCHES)
def test_every_parameter_is_in_one_part(name):
    model = build_model(SWITCHES[name], device="meta")
    found = parameters_of(model)
    names = [n for own in found.values() for n in own]
    assert sorted(names) == sorted(n for n, _ in model.named_parameters())
    assert list(found) == list(PARTS)
    within = [n for n in names if n.startswith("language.")]
    added = {n for n in within if ".cross." in n or ".expert." in n}
    assert set(found["fusion"]) == added
    assert bool(added) == (SWITCHES[name].fusion.kind in ("cross_attention", "visual_expert"))


def rates(model, spec):
    prepare_parts(model, spec, 0)
    return {
        name: (group.rate * spec.lr, group.weight_decay)
        for group in groups(model, spec)
        for name in group.names
    }


def test_rates_and_decay_of_parts_and_blocks():
    trains = {
        "vision": {"lr": 1e-4, "layer_decay": 0.5, "weight_decay": 0.3},
        "connector": {},
        "language": {"lr": 2e-3},
    }
    spec = stage(trains=trains, lr=1e-2, weight_decay=0.1)
    model = tiny_model(tiny_spec(vision={"depth": 3}))
    found = rates(model, spec)
    near = {name: pytest.approx(value) for name, value in found.items()}
    for block in range(3):
        assert near[f"vision.blocks.{block}.attn.q.weight"] == (1e-4 * 0.5 ** (2 - block), 0.3)
        assert near[f"vision.blocks.{block}.norm1.weight"] == (1e-4 * 0.5 ** (2 - block), 0.0)
    assert near["vision.positions"] == (1e-4 * 0.5**3, 0.3)
    assert near["connector.layers.0.weight"] == (1e-2, 0.1)
    assert near["language.embed.weight"] == (2e-3, 0.1)
    assert near["language.blocks.0.attn.q.weight"] == (2e-3, 0.1)


def test_what_nobody_trains_is_refused():
    with pytest.raises(TrainError) as caught:
        prepare_parts(fresh(), stage(trains=("fusion",)), 0)
    assert caught.value.field == "trains"


LORA = {"how": "lora", "rank": 2, "alpha": 4}


def adapted(model):
    return {name: adapter for name, _, adapter in adapters_of(model)}


def logits(model):
    batch = batch_of(3)
    model.eval()
    with torch.inference_mode():
        return model.language.logits(model(batch.batch))


def test_adapters_train_and_their_matrices_do_not():
    model, spec = fresh(), stage(steps=3, trains={"language": LORA}, schedule={"warmup_steps": 0})
    optim = optimiser(model, spec)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, spec, batches(), optim=optim)
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved and all(".adapter." in name for name in moved)
    assert all(name.startswith("language.blocks.") for name in moved)
    [row] = [row for row in table(model, spec) if row.part == "language"]
    assert row.how == "lora r2" and row.trained == sum(p.numel() for p in optim.parameters)


def test_the_next_stage_goes_on_with_equal_adapters_and_merges_others():
    model = fresh()
    first = stage(steps=5, trains={"language": LORA}, schedule={"warmup_steps": 0})
    train(model, first, batches())
    kept = {name: id(adapter) for name, adapter in adapted(model).items()}
    assert not prepare_parts(model, first, 1)
    assert {name: id(adapter) for name, adapter in adapted(model).items()} == kept

    said = logits(model)
    changed = prepare_parts(model, stage(trains={"language": LORA | {"rank": 3}}), 1)
    assert changed == {f"{name}.weight" for name in kept}
    assert {adapter.rank for adapter in adapted(model).values()} == {3}
    torch.testing.assert_close(logits(model), said, rtol=0, atol=1e-5)

    prepare_parts(model, stage(trains=["connector"]), 2)
    assert not adapted(model)
    torch.testing.assert_close(logits(model), said, rtol=0, atol=1e-5)


def test_fusion_trains_without_the_language_model():
    """Experts of visual rows, beside a frozen text model."""
    spec = next(s for s in SWITCHES.values() if s.fusion.kind == "visual_expert")
    model = build_model(spec)
    prepare_parts(model, stage(trains=["fusion"]), 0)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained and all(".expert." in name for name in trained)


def test_vision_adapters_get_gradient_through_recomputed_blocks():
    from sightline.nn.lora import blocks_of
    from sightline.nn.recompute import recompute

    model = fresh()
    prepare_parts(model, stage(trains={"vision": LORA}), 0)
    with torch.no_grad():
        for adapter in adapted(model).values():
            adapter.b.normal_()
    found = {}
    for on in (False, True):
        recompute(blocks_of(model.vision), on)
        model.zero_grad()
        next_token(model, batch_of(0)).backward()
        found[on] = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    assert found[True].keys() == found[False].keys() and len(found[True]) == 2 * len(adapted(model))
    for name, gradient in found[True].items():
        assert gradient.any() and torch.equal(gradient, found[False][name]), name


def test_adapters_of_a_connector_by_name_and_of_blocks_apart():
    model = fresh()
    prepare_parts(model, stage(trains={"connector": LORA | {"matrices": ["0"]}}), 0)
    assert adapted(model)
    spec = next(s for s in SWITCHES.values() if s.fusion.kind == "visual_expert")
    other = build_model(spec)
    prepare_parts(other, stage(trains={"fusion": LORA}), 0)
    drawn = [adapter.a for name, adapter in adapted(other).items() if name.endswith("attn.q")]
    assert len(drawn) > 1 and not torch.equal(drawn[0], drawn[1])


def test_the_last_blocks_of_a_tiled_encoder_have_the_full_rate():
    recipe = Path(__file__).parents[2] / "recipes" / "mllama.yaml"
    spec = read_recipe(recipe).spec()
    found = rates(build_model(spec), stage(trains={"vision": {"layer_decay": 0.5}}, lr=1e-2))
    last = spec.vision.global_depth - 1
    assert found[f"vision.global_blocks.{last}.q.weight"][0] == pytest.approx(1e-2)
    below = spec.vision.global_depth + spec.vision.depth - 1
    assert found["vision.blocks.0.q.weight"][0] == pytest.approx(1e-2 * 0.5**below)
