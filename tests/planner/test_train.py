"""Training budgets: what trains, what it keeps, how long it takes."""

from __future__ import annotations

import math

import pytest
import torch
from tests.planner.specs import SWITCHES

from sightline.core.errors import ContextOverflow, PlanError, SpecError
from sightline.model.build import build_model
from sightline.planner import train_plan
from sightline.planner.decoder import decoder_row
from sightline.planner.encoder import encoder_flops
from sightline.planner.pieces import count
from sightline.planner.published import llava
from sightline.planner.tensors import weights
from sightline.planner.train import (
    PARTS,
    activation_bytes,
    sample_flops,
    standard_stages,
    train_memory,
    trained_parameters,
)
from sightline.planner.work import (
    attention_flops,
    connector_flops,
    decoder_flops,
    head_flops,
)
from sightline.planner.workload import workload
from sightline.spec.train.budget import LoraBudget, StageBudget

SPEC = SWITCHES["language: llama"]


def stage(**changes):
    given = {"name": "stage", "samples": 1000, "text_tokens": 20, "images": ((28, 28),)}
    return StageBudget(**(given | changes))


@pytest.mark.parametrize(
    "trains", [("connector",), ("connector", "language"), ("vision", "connector", "language")]
)
def test_trained_parameters_are_those_that_ask_for_gradients(trains):
    built = build_model(SPEC).requires_grad_(False)
    for part in trains:
        getattr(built, part).requires_grad_(True)
    asking = sum(p.numel() for p in built.parameters() if p.requires_grad)
    assert trained_parameters(SPEC, stage(trains=trains)) == asking


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("rank", [1, 8])
def test_lora_parameters_are_pefts(rank):
    """Adapters on all linear layers of a Llama of the same shape."""
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    d = SPEC.language
    config = transformers.LlamaConfig(
        vocab_size=d.vocab,
        hidden_size=d.width,
        intermediate_size=d.mlp.width,
        num_hidden_layers=d.depth,
        num_attention_heads=d.attention.heads,
        num_key_value_heads=d.attention.kv_heads,
        head_dim=d.attention.head_dim,
    )
    adapted = peft.get_peft_model(
        transformers.LlamaForCausalLM(config),
        peft.LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    budget = stage(trains=(), lora=LoraBudget(rank=rank))
    assert trained_parameters(SPEC, budget) == adapted.get_nb_trainable_parameters()[0]


def test_memory_is_sixteen_bytes_a_trained_parameter_and_two_a_frozen_one():
    sample = workload(SPEC, [(28, 28)], text_tokens=20)
    memory = train_memory(sample, stage(micro_batch=3))
    trained = trained_parameters(SPEC, stage())
    frozen = count(weights(SPEC, "vision"))
    assert memory.weights == 2 * (trained + frozen)
    assert memory.gradients == 2 * trained
    assert memory.optimizer == 12 * trained
    assert memory.activations == 3 * activation_bytes(sample, stage())
    assert memory.total == 16 * trained + 2 * frozen + memory.activations


def test_masters_and_moments_are_what_the_trainer_allocates():
    optim = pytest.importorskip("sightline.train.optim")
    parts = pytest.importorskip("sightline.train.parts")
    spec_stage = pytest.importorskip("sightline.spec.train")
    built = build_model(SPEC, dtype=torch.bfloat16)
    for p in built.parameters():
        torch.nn.init.normal_(p)
        p.grad = torch.ones_like(p)
    recipe = spec_stage.StageSpec(
        kind="instruct",
        data=spec_stage.ScenesSpec(),
        steps=200,
    )
    adamw = optim.MasterOptimizer(parts.groups(built, recipe), recipe)
    adamw.step(1e-3, 1.0)
    held = sum(t.numel() * t.element_size() for t in adamw.tensors().values() if t.ndim)
    sample = workload(SPEC, [(28, 28)], text_tokens=20)
    assert train_memory(sample, stage(trains=PARTS)).optimizer == held


def test_devices_share_everything_but_activations():
    sample = workload(SPEC, [(28, 28)], text_tokens=20)
    one, eight = train_memory(sample, stage(), 1), train_memory(sample, stage(), 8)
    assert eight.optimizer == math.ceil(one.optimizer / 8)
    assert eight.weights == math.ceil(one.weights / 8)
    assert eight.activations == one.activations


def test_qlora_stores_the_language_matrices_in_4_127_bits():
    """4 bits, and for 64 numbers a scale of 8 bits and 1/256 of a float32 (arXiv:2305.14314)."""
    spec = llava("7b")
    budgets = {s.name.split()[0]: s for s in standard_stages(1, images=((336, 336),))}
    sample = workload(spec, [(336, 336)], text_tokens=250)
    lora, qlora = (train_memory(sample, budgets[name]) for name in ("LoRA", "QLoRA"))
    matrices = sum(w.count for w in weights(spec, "language") if w.role == "linear")
    assert lora.weights - qlora.weights == pytest.approx(matrices * (16 - 4.126953125) / 8, abs=2)
    assert lora.gradients == qlora.gradients


def test_flops_are_forwards_and_backwards():
    sample = workload(SPEC, [(28, 28)], text_tokens=20)
    [view] = (view.size for view in sample.layout.views)
    vision = encoder_flops(SPEC.vision, view)
    connector = connector_flops(SPEC, view)
    language = (
        decoder_flops(SPEC, sample.tokens)
        + attention_flops(SPEC.language, sample.tokens)
        + head_flops(SPEC.language, 20)
    )

    def flops(**changes):
        return sample_flops(sample, stage(**changes))

    plain = {"checkpointing": False}
    assert flops(trains=PARTS, **plain) == 3 * (vision + connector + language)
    assert flops(**plain) == vision + 3 * (connector + language)
    assert flops(trains=("connector",), **plain) == vision + 3 * connector + 2 * language
    assert flops(trains=("vision",), **plain) == 3 * vision + 2 * (connector + language)
    assert flops() - flops(**plain) == language  # the encoder is frozen: nothing to recompute
    assert flops(trains=PARTS) - flops(trains=PARTS, **plain) == vision + language
    lora = stage(trains=(), lora=LoraBudget(rank=2), **plain)
    adapters = 6 * sample.tokens * trained_parameters(SPEC, lora)
    assert sample_flops(sample, lora) == vision + connector + 2 * language + adapters
    less = head_flops(SPEC.language, 20) - head_flops(SPEC.language, 5)
    assert flops(**plain) - flops(target_tokens=5, **plain) == 3 * less


def test_checkpointing_keeps_one_input_a_block_and_one_block():
    sample = workload(SPEC, [(28, 28)], text_tokens=20)
    language = SPEC.language
    logits = 20 * language.vocab * 10
    row = decoder_row(language)
    kept = activation_bytes(sample, stage(checkpointing=False)) - logits
    assert kept == sample.tokens * language.depth * row * 2
    kept = activation_bytes(sample, stage()) - logits
    assert kept == sample.tokens * (language.depth * language.width + row) * 2
    seen = activation_bytes(sample, stage(trains=PARTS, checkpointing=False))
    assert seen > activation_bytes(sample, stage(checkpointing=False))


def test_time_and_cost_follow_from_each_other():
    one = train_plan(llava("7b"), stage(text_tokens=250), gpus=1, price_per_gpu_hour=3)
    eight = train_plan(llava("7b"), stage(text_tokens=250, epochs=2), gpus=8)
    assert one.gpu_hours == one.hours and one.cost == pytest.approx(3 * one.hours)
    assert eight.gpu_hours == pytest.approx(2 * one.gpu_hours)
    assert eight.hours == pytest.approx(eight.gpu_hours / 8)
    assert eight.cost == pytest.approx(2 * eight.gpu_hours)
    assert one.hours * 3600 == pytest.approx(one.sample_flops * 1000 / (312e12 * 0.4))


def test_the_usual_ways_need_ever_less_memory():
    """Full, connector only, LoRA and QLoRA of LLaVA-1.5-7B on one A100."""
    plans = {
        budget.name: train_plan(llava("7b"), budget, gpus=1)
        for budget in standard_stages(100_000, images=((336, 336),))
    }
    totals = {name: p.memory.total for name, p in plans.items()}
    assert totals["QLoRA r64"] < totals["connector"] < totals["LoRA r64"] < totals["full"]
    assert [p.fits for p in plans.values()] == [False, True, True, True]
    assert plans["full"].trained == pytest.approx(6.76e9, rel=0.001)


BAD_STAGES = [
    ({"trains": ()}, "trains"),
    ({"lora": LoraBudget(), "trains": ("language",)}, "lora"),
    ({"target_tokens": 21}, "target_tokens"),
    ({"samples": 0}, "samples"),
    ({"trains": ("ears",)}, "trains.0"),
    ({"epochs": 0}, "epochs"),
    ({"images": ((0, 3),)}, "images"),
    ({"surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_STAGES)
def test_bad_stages_are_refused(changes, field):
    given = {"name": "stage", "samples": 5, "text_tokens": 20} | changes
    with pytest.raises(SpecError) as error:
        StageBudget.parse(given)
    assert error.value.field == field


@pytest.mark.parametrize(
    "changes",
    [{"gpus": 0}, {"gpus": 1.5}, {"price_per_gpu_hour": -1}, {"price_per_gpu_hour": math.nan}],
)
def test_bad_numbers_are_refused(changes):
    with pytest.raises(PlanError) as error:
        train_plan(SPEC, stage(), **changes)
    assert error.value.field in changes


def test_a_sample_longer_than_the_context_is_refused():
    with pytest.raises(ContextOverflow, match="exceed 256"):
        train_plan(SPEC, stage(text_tokens=241))
