"""Schedules against transformers', MasterOptimizer against torch's AdamW, bit for bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.toy_task import stage
from torch import nn
from transformers import get_cosine_with_min_lr_schedule_with_warmup, get_wsd_schedule
from transformers.optimization import get_polynomial_decay_schedule_with_warmup

from sightline.core.errors import TrainError
from sightline.nn.nf4 import bitsandbytes
from sightline.train.optim import MasterOptimizer
from sightline.train.parts import Group
from sightline.train.schedule import learning_rate

KINDS = ("cosine", "linear", "wsd")


def scheduled(kind, steps, warmup, share, floor):
    schedule = {"kind": kind, "warmup_steps": warmup, "decay_share": share, "floor": floor}
    return stage(steps=steps, lr=0.5, schedule=schedule)


def theirs(kind, steps, warmup, share, floor):
    """The factors that transformers' schedulers give, in steps 0..steps-1."""
    adam = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    match kind:
        case "cosine":
            scheduler = get_cosine_with_min_lr_schedule_with_warmup(
                adam, warmup, steps, min_lr_rate=floor
            )
        case "linear":
            scheduler = get_polynomial_decay_schedule_with_warmup(
                adam, warmup, steps, lr_end=0.5 * floor
            )
        case "wsd":
            scheduler = get_wsd_schedule(
                adam,
                warmup,
                round(share * (steps - warmup)),
                num_training_steps=steps,
                decay_type="linear",
                min_lr_ratio=floor,
            )
    rates = []
    for _ in range(steps):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("warmup", "share", "floor"), [(0, 0.2, 0.0), (10, 0.5, 0.0), (5, 0.2, 0.1)]
)
def test_rates_after_the_warm_up_equal_transformers(kind, warmup, share, floor):
    steps = 45 if warmup == 5 else 50
    shape = (kind, steps, warmup, share, floor)
    mine = [learning_rate(scheduled(*shape), step) for step in range(steps)]
    assert mine[warmup:] == pytest.approx(theirs(*shape)[warmup:], rel=1e-9)


@given(
    st.sampled_from(KINDS),
    st.integers(2, 400),
    st.floats(0, 1, exclude_max=True),
    st.floats(0.01, 1),
    st.floats(0, 1),
)
def test_rates_rise_to_the_peak_and_fall_to_the_floor(kind, steps, warm, share, floor):
    warmup = int(warm * steps)
    spec = scheduled(kind, steps, warmup, share, floor)
    rates = [learning_rate(spec, step) for step in range(steps)]
    assert all(0 < rate <= 0.5 for rate in rates) and max(rates) == 0.5
    assert rates[:warmup] == pytest.approx([0.5 * (i + 1) / warmup for i in range(warmup)])
    falling = rates[warmup:]
    assert falling == sorted(falling, reverse=True)
    assert learning_rate(spec, steps) == pytest.approx(0.5 * floor)


def parameters(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(5, 3), (3,), (2, 3, 2, 2), (1,), (7, 4)]
    return [nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]


def gradients(step, like):
    generator = torch.Generator().manual_seed(1000 + step)
    return [3 * torch.randn(p.shape, generator=generator).to(p.dtype) for p in like]


def optimiser(params, spec, names=None):
    """Matrices and vectors as the parts of a model would be grouped, in the order given."""
    named = list(zip(names or [f"p{i}" for i in range(len(params))], params, strict=True))
    chosen = [(n, p) for n, p in named if p.requires_grad]
    sorted_ = [
        ([x for x in chosen if x[1].ndim >= 2], spec.weight_decay),
        ([x for x in chosen if x[1].ndim < 2], 0.0),
    ]
    made = [
        Group(tuple(n for n, _ in found), tuple(p for _, p in found), 1.0, decay)
        for found, decay in sorted_
    ]
    return MasterOptimizer(made, spec)


def masters_of(optim, params):
    """The masters in the order of the parameters."""
    by_id = dict(zip(map(id, optim.parameters), optim.masters, strict=True))
    return [by_id[id(p)] for p in params]


class Plain:
    """torch's own AdamW and clipping, in float32."""

    def __init__(self, params, spec, **options):
        self.params = params
        groups = [
            {"params": [p for p in params if p.ndim >= 2], "weight_decay": spec.weight_decay},
            {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=spec.lr, betas=spec.betas, **options)

    def step(self, grads, lr, clip):
        for p, g in zip(self.params, grads, strict=True):
            p.grad = None if g is None else g.float()
        in_order = sorted(self.params, key=lambda p: p.ndim < 2)  # sums round by their order
        norm = nn.utils.clip_grad_norm_(in_order, clip)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        self.adamw.step()
        return norm.item()


def give(params, grads):
    for p, g in zip(params, grads, strict=True):
        p.grad = g


SPEC = stage(weight_decay=0.1, clip=2.0, betas=(0.8, 0.99))


@pytest.mark.parametrize("clip", [0.5, 1e9])
def test_float32_steps_equal_torch_bit_for_bit(clip):
    mine, reference = parameters(), parameters()
    optim, plain = optimiser(mine, SPEC), Plain(reference, SPEC, fused=True)
    unfused = Plain(parameters(), SPEC, foreach=False)
    for step in range(20):
        give(mine, gradients(step, mine))
        rate = learning_rate(SPEC, step)
        norm = optim.step(rate, clip)
        assert norm == plain.step(gradients(step, mine), rate, clip)
        unfused.step(gradients(step, mine), rate, clip)
        assert all(p.grad is None for p in mine)
    for a, b, c in zip(mine, reference, unfused.params, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-5, atol=1e-6)


def test_bfloat16_parameters_are_the_rounded_masters_of_a_float32_run():
    mine = parameters(torch.bfloat16)
    shadow = [nn.Parameter(p.detach().float()) for p in mine]
    optim, plain = optimiser(mine, SPEC), Plain(shadow, SPEC, fused=True)
    moved = 0
    for step in range(20):
        before = [p.detach().clone() for p in mine]
        give(mine, gradients(step, mine))
        optim.step(1e-4, SPEC.clip)
        plain.step(gradients(step, mine), 1e-4, SPEC.clip)
        for master, p, exact in zip(masters_of(optim, mine), mine, shadow, strict=True):
            assert torch.equal(master, exact) and torch.equal(p, exact.bfloat16())
        moved += sum(int((a != b).sum()) for a, b in zip(before, mine, strict=True))
    # Steps are far below bfloat16's spacing: without masters nothing would ever move.
    assert 0 < moved < 20 * sum(p.numel() for p in mine)
    assert all(p.dtype == torch.bfloat16 for p in mine)


def test_matrices_decay_and_vectors_do_not():
    params = parameters()
    before = [p.detach().clone() for p in params]
    optim = optimiser(params, SPEC)
    give(params, [torch.zeros_like(p) for p in params])
    optim.step(0.01, 1.0)
    for p, old in zip(params, before, strict=True):
        expected = old * (1 - 0.01 * SPEC.weight_decay) if p.ndim >= 2 else old
        torch.testing.assert_close(p.detach(), expected, rtol=1e-6, atol=0)


def test_what_has_no_gradient_stays_as_it_is():
    """Neither decay nor old momentum moves a parameter that took no part in the step."""
    params = parameters()
    params[0].requires_grad_(False)
    optim = optimiser(params, SPEC)
    give(params[1:], gradients(0, params[1:]))
    optim.step(0.1, 1.0)
    before = [p.detach().clone() for p in params]
    give(params[2:], gradients(1, params[2:]))
    optim.step(0.1, 1.0)
    changed = [not torch.equal(p, old) for p, old in zip(params, before, strict=True)]
    assert changed == [False, False, True, True, True]
    assert len(optim.masters) == 4


def test_a_group_has_its_own_rate():
    slow, fast = parameters(), parameters()
    named = [tuple(f"{kind}{i}" for i in range(5)) for kind in ("slow", "fast")]
    made = [Group(named[0], tuple(slow), 0.1, 0.0), Group(named[1], tuple(fast), 1.0, 0.0)]
    optim = MasterOptimizer(made, SPEC)
    alone = parameters()
    other = MasterOptimizer([Group(named[0], tuple(alone), 1.0, 0.0)], SPEC)
    for params in (slow, fast, alone):
        give(params, gradients(0, params))
    optim.step(0.5, 1e9)
    other.step(0.05, 1e9)
    for a, b, c in zip(slow, fast, alone, strict=True):
        torch.testing.assert_close(a, c, rtol=1e-6, atol=1e-7)
        assert not torch.allclose(b, c)


def test_eight_bit_moments_follow_bitsandbytes_and_survive_a_checkpoint():
    AdamW8bit = bitsandbytes("optimizer").optim.AdamW8bit

    def wide(seed=0):
        generator = torch.Generator().manual_seed(seed)
        shapes = [(96, 64), (7,)]
        return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]

    spec = stage(optimizer="adamw8bit", weight_decay=0.1, betas=(0.9, 0.95))
    mine, theirs = wide(), wide()
    optim = optimiser(mine, spec)
    groups = [
        {"params": theirs[:1], "weight_decay": 0.1},
        {"params": theirs[1:], "weight_decay": 0.0},
    ]
    adam = AdamW8bit(groups, lr=0.01, betas=(0.9, 0.95))
    for step in range(3):
        give(mine, gradients(step, mine))
        optim.step(0.01, 1e9)
        give(theirs, gradients(step, theirs))
        adam.step()
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    saved = {name: tensor.clone() for name, tensor in optim.tensors().items()}
    assert any(tensor.dtype == torch.uint8 for tensor in saved.values())
    resumed = wide(5)
    again = optimiser(resumed, spec)
    again.load(saved)
    for params, one in ((mine, optim), (resumed, again)):
        for step in (3, 4):
            give(params, gradients(step, params))
            one.step(0.01, 1e9)
    assert all(torch.equal(a, b) for a, b in zip(mine, resumed, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_restored_optimiser_continues_bit_for_bit(dtype, at):
    def steps(optim, params, numbers):
        for step in numbers:
            give(params, [*gradients(step, params)[:-1], None])  # the last one never takes part
            optim.step(0.01, 1.0)

    undisturbed = parameters(dtype)
    optim = optimiser(undisturbed, SPEC)
    steps(optim, undisturbed, range(at))
    saved = {name: tensor.clone() for name, tensor in optim.tensors().items()}
    steps(optim, undisturbed, range(at, 10))

    resumed = parameters(dtype, seed=5)
    other = optimiser(resumed, SPEC)
    other.load(saved)
    steps(other, resumed, range(at, 10))
    for a, b in zip(undisturbed, resumed, strict=True):
        assert torch.equal(a, b)
    for name, tensor in optim.tensors().items():
        assert torch.equal(tensor, other.tensors()[name]), name


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d", "f")], ids=str)
def test_moments_of_other_parameters_are_refused(names):
    params = parameters()
    saved = optimiser(params, SPEC, list("abcde")).tensors()
    with pytest.raises(TrainError) as caught:
        optimiser(params[: len(names)], SPEC, list(names)).load(saved)
    assert caught.value.field == "optimiser"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    params = parameters()
    optim = optimiser(params, SPEC)
    give(params, gradients(0, params))
    optim.step(0.01, 1.0)
    before = {name: tensor.clone() for name, tensor in optim.tensors().items()}
    grads = gradients(1, params)
    grads[2].view(-1)[3] = bad
    give(params, grads)
    with pytest.raises(TrainError) as caught:
        optim.step(0.01, 1.0)
    assert caught.value.field == "gradient"
    assert all(torch.equal(tensor, before[name]) for name, tensor in optim.tensors().items())
