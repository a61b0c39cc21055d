"""The loop: it learns, it resumes bit for bit, it stops before it writes nonsense."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from tests.helpers.tiny import Item
from tests.helpers.toy_task import (
    BRIGHT,
    DARK,
    Fed,
    batch_of,
    batches,
    fresh,
    optimiser,
    question,
    stage,
    train,
    train_batch,
)

from sightline.core.errors import TrainError
from sightline.model.reference import reference_greedy
from sightline.train import checkpoint, parts
from sightline.train.checkpoint import Checkpoint, Progress
from sightline.train.log import Averages, JsonlLog, rewind
from sightline.train.loop import Counts, Step
from sightline.train.losses.next_token import next_token
from sightline.train.schedule import learning_rate


def prompt_of(one):
    """The conversation without its answer."""
    return Item(one.token_ids[:-1], one.visual_T[:-1], one.positions_AT[:, :-1], one.visual)


def test_the_model_learns_to_look():
    model, steps = fresh(), []
    train(model, stage(), batches(), [steps.append])
    losses = [step.loss for step in steps]
    assert losses[0] > 3 and max(losses[-5:]) < 0.1
    for row in range(6):
        answer = reference_greedy(model, prompt_of(question(999, row, row % 2 == 0)), 1)
        assert answer == [BRIGHT if row % 2 == 0 else DARK]


def test_every_step_is_reported_as_it_was():
    spec, steps = stage(steps=6), []
    train(fresh(), spec, batches(2), [steps.append], index=3, start=2, before=10)
    assert [(s.stage, s.step) for s in steps] == [(3, n) for n in range(2, 6)]
    assert [s.lr for s in steps] == [learning_rate(spec, n) for n in range(2, 6)]
    assert all(s.counts.target_tokens == 4 and s.counts.visual_tokens == 16 for s in steps)
    assert all(s.counts.rows == 4 and s.counts.tokens <= s.counts.capacity for s in steps)
    assert [s.feed["next"] for s in steps] == [3, 4, 5, 6]
    assert [s.update for s in steps] == [12, 13, 14, 15]
    assert all(s.gradient_norm > 0 and s.step_s > 0 and s.wait_s >= 0 for s in steps)


def test_the_reported_loss_and_norm_are_those_of_the_batch():
    model, steps = fresh(), []
    batch = batch_of(0)
    loss = next_token(model, batch) / batch.weight
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    train(fresh(), stage(steps=5), batches(), [steps.append])
    assert steps[0].loss == pytest.approx(loss.item(), rel=1e-6)
    assert steps[0].gradient_norm == pytest.approx(norm.item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("at", [1, 5, 8])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, dtype, at):
    spec = stage(steps=10)
    whole = fresh(0, dtype)
    undisturbed = train(whole, spec, batches())

    killed = fresh(0, dtype)
    optim = optimiser(killed, spec)

    def save(step):
        if step.step + 1 == at:
            progress = Progress(0, step.step + 1)
            made = Checkpoint(progress, killed.state_dict(), optim.tensors())
            checkpoint.write(tmp_path, made, 2)

    with pytest.raises(TrainError, match="ends at step"):  # one step after the checkpoint is lost
        train(killed, spec, batches(stop=at + 1), [save], optim)
    found = checkpoint.read(checkpoint.latest(tmp_path))
    assert found.progress == Progress(0, at)
    resumed = fresh(7, dtype)
    resumed.load_state_dict(found.model)
    again = optimiser(resumed, spec)
    again.load(found.optim)
    train(resumed, spec, batches(at), optim=again, start=at)

    for name, p in whole.named_parameters():
        assert torch.equal(p, dict(resumed.named_parameters())[name]), name
    for name, tensor in undisturbed.tensors().items():
        assert torch.equal(tensor, again.tensors()[name]), name


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_before_anything_is_written(bad):
    model, seen = fresh(), []

    def loss_of(model, batch):
        loss = next_token(model, batch)
        return loss * bad if len(seen) == 3 else loss

    spec = stage()
    weights = []

    def watch(step):
        seen.append(step)
        weights[:] = [p.detach().clone() for p in model.parameters()]

    with pytest.raises(TrainError, match="step 3") as caught:
        train(model, spec, batches(), [watch], loss_of=loss_of)
    assert caught.value.field == "loss" and len(seen) == 3
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_a_gradient_that_is_not_finite_ends_the_run_before_anything_is_written():
    """The loss is finite, its gradient is not: sqrt at 0."""
    model, seen = fresh(), []
    before = [p.detach().clone() for p in model.parameters()]

    def loss_of(model, batch):
        loss = next_token(model, batch)
        return loss + (loss - loss.detach()).sqrt()

    spec = stage()
    with pytest.raises(TrainError) as caught:
        train(model, spec, batches(), [seen.append], loss_of=loss_of)
    assert caught.value.field == "gradient" and not seen
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_data_that_end_too_early_are_an_error_and_too_many_are_not_drawn():
    with pytest.raises(TrainError, match="ends at step 3 of 40") as caught:
        train(fresh(), stage(), batches(stop=3))
    assert caught.value.field == "data"
    data = batches()
    train(fresh(), stage(steps=5), data)
    following = next(data).micro[0].batch
    assert all(map(torch.equal, following.pixels, batch_of(5).batch.pixels))


@pytest.mark.parametrize(
    "trains", [("connector",), ("vision",), ("language",), ("connector", "language")], ids=str
)
def test_only_what_is_said_to_train_moves(trains):
    model, spec = fresh(), stage(steps=5, trains=trains)
    parts.prepare_parts(model, spec, 0)
    table = parts.table(model, spec)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optim = train(model, spec, batches())
    for name, p in model.named_parameters():
        moved = not torch.equal(p, before[name])
        assert moved == (name.split(".")[0] in trains), name
    assert {row.part: row.how for row in table} == {
        part: "full" if part in trains else "frozen" for part in ("vision", "connector", "language")
    }
    trained = sum(row.trained for row in table)
    assert sum(master.numel() for master in optim.masters) == trained
    assert sum(row.parameters for row in table) == sum(p.numel() for p in model.parameters())


def test_freezing_is_undone_by_the_next_stage():
    model = fresh()
    parts.prepare_parts(model, stage(trains=("connector",)), 0)
    parts.prepare_parts(model, stage(), 0)
    assert all(p.requires_grad for p in model.parameters())


def step(number, **values):
    fields = {
        "stage": 1,
        "step": number,
        "steps": 100,
        "update": 50 + number,
        "loss": float(number),
        "lr": 0.1,
        "gradient_norm": 2.0 + number,
        "counts": Counts(3, 90, 120, 30, 60),
        "ids": (),
        "feed": {},
        "step_s": 0.5,
        "wait_s": 0.25,
    }
    return Step(**fields | values)


def test_averages_are_means_and_rates_of_the_steps_since_the_last_line():
    averages = Averages([step(3), step(4)])
    assert averages.take() == {
        "stage": 1,
        "step": 4,
        "update": 54,
        "loss": 3.5,
        "lr": 0.1,
        "gradient_norm": 6.0,
        "target_tokens_per_s": 40.0,
        "visual_tokens_per_s": 80.0,
        "rows_per_s": 4.0,
        "steps_per_s": pytest.approx(4 / 3),
        "wait_share": pytest.approx(1 / 3),
        "fill": 0.75,
    }
    assert averages.steps == []


def test_a_log_line_is_written_every_so_many_steps_and_appended(tmp_path):
    path, heard = tmp_path / "logs" / "log.jsonl", []
    for first in (0, 4):
        log = JsonlLog(path, 2, [heard.append])
        for number in range(first, first + 4):
            log(step(number))
        log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 3, 5, 7]
    assert [line["loss"] for line in lines] == [0.5, 2.5, 4.5, 6.5]
    assert heard == lines


def test_steps_at_the_end_of_a_stage_and_of_a_run_get_a_line_of_their_own(tmp_path):
    path = tmp_path / "log.jsonl"
    log = JsonlLog(path, 10)
    for number in range(12):
        log(step(number))
    for number in range(3):
        log(step(number, stage=2))
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [(1, 9), (1, 11), (2, 2)]
    assert [line["loss"] for line in lines] == [4.5, 10.5, 1.0]


def test_lines_of_steps_that_are_taken_again_are_taken_back(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"stage": s, "step": n, "loss": 1.0} for s in (0, 1) for n in range(4)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": 1, "st')
    rewind(path, 1, 2)
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines[:6]


@pytest.mark.parametrize("pieces", [(1,) * 8, (3, 5), (2, 2, 4)], ids=str)
def test_micro_batches_add_up_to_the_whole(pieces):
    """1 x 8 = 8 x 1, unequal pieces too: the loss is a mean over the targets of the step."""
    rows = [question(0, row, row % 2 == 0) for row in range(8)]
    edges = [sum(pieces[:i]) for i in range(len(pieces) + 1)]
    dealt = tuple(train_batch(rows[a:b]) for a, b in itertools.pairwise(edges))
    whole, parted, seen = fresh(), fresh(), []
    spec = stage(steps=3, schedule={"warmup_steps": 0}, clip=1e9)
    train(whole, spec, iter([Fed((train_batch(rows),))] * 3), [seen.append])
    train(parted, spec, iter([Fed(dealt)] * 3), [seen.append])
    for a, b in zip(seen[:3], seen[3:], strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-5) and a.counts.rows == b.counts.rows == 8
        assert a.gradient_norm == pytest.approx(b.gradient_norm, rel=1e-4)
