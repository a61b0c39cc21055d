"""Several processes train as one does: real `torchrun`, gloo, FSDP2.

A launch that takes longer than its limit counts as a hang. What one process does is the oracle.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.recipes import recipe
from tests.helpers.shard_cases import AGAIN, CASES, STEPS, carry_out, losses, prepare

from sightline.train import checkpoint
from sightline.train.world import ALONE

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 300
CLOSE = 1e-5  # of losses of 3 to 6 nats
FUSIONS = ("deep_stack", "visual_expert", "cross_everything", "cross_nothing")
POLICIES = ("native", "native_mixed", "anyres", "qformer")
WAYS = ("packed", "adapters", "stages", "watched")


def torchrun(processes: int, *module: str, limit_s: float = LIMIT_S) -> tuple[int, str]:
    """Exit status, and all that was said. Fails where the processes hang."""
    started = start(processes, *module)
    try:
        said, _ = started.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        pytest.fail(f"{module} hung: {started.communicate()[0][-2000:]}")
    return started.returncode, said


def start(processes: int, *module: str) -> subprocess.Popen[str]:
    """In a group of its own; the port is a free one (`--standalone`)."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    return subprocess.Popen(
        [*torchrun, f"--nproc-per-node={processes}", "-m", *module],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def carried_out(processes: int, folder: Path, names: Sequence[str]) -> None:
    status, said = torchrun(processes, "tests.helpers.shard_cases", str(folder), *names)
    assert status == 0, said[-4000:]


def alone(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        carry_out(CASES[name.partition(AGAIN)[0]], folder / name, ALONE)


def interrupted(run: Path, to: Path) -> None:
    """What was there of a run when its first checkpoint was written, as another run."""
    first = checkpoint.found(run)[0]
    assert first.name == "step-0-00000003"
    to.mkdir(parents=True)
    shutil.copytree(first, to / first.name)
    shutil.copy(run / "log.jsonl", to)


def weights(run: Path, kind: str = "model") -> dict[str, torch.Tensor]:
    return load_file(run / kind / "model.safetensors")


def assert_equal_weights(run: Path, other: Path, kind: str = "model") -> None:
    """Adam makes a step of rounding where a gradient is nearly 0: up to a tenth of one (0.01)."""
    own, others = weights(run, kind), weights(other, kind)
    assert own.keys() == others.keys()
    for name, tensor in own.items():
        if not name.endswith("attn.k.bias"):  # moves a softmax by nothing: its gradient is noise
            torch.testing.assert_close(tensor, others[name], rtol=1e-4, atol=1e-3, msg=name)


def assert_equal_losses(run: Path, other: Path, steps: int) -> None:
    assert len(losses(run)) == len(losses(other)) == steps
    assert losses(run) == pytest.approx(losses(other), abs=CLOSE, rel=0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` process and `two`; `mixed@one` goes on from the checkpoint of one process."""
    folder = tmp_path_factory.mktemp("runs")
    names = ("interleave", "mixed")
    prepare(folder, [CASES[name] for name in names])
    alone(folder / "one", names)
    interrupted(folder / "one" / "mixed", folder / "two" / "mixed@one")
    carried_out(2, folder / "two", (*names, "mixed@one"))
    return folder


def test_a_process_without_pictures_changes_nothing(runs: Path) -> None:
    assert_equal_losses(runs / "two" / "interleave", runs / "one" / "interleave", STEPS)
    assert_equal_weights(runs / "two" / "interleave", runs / "one" / "interleave")


def test_counts_are_those_of_all_processes(runs: Path) -> None:
    lines = [
        [json.loads(line) for line in (runs / n / "mixed" / "log.jsonl").read_text().splitlines()]
        for n in ("one", "two")
    ]
    for one, two in zip(*lines, strict=True):
        assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4)
        assert two["fill"] == one["fill"]


def test_running_means_are_written_whole(runs: Path) -> None:
    assert_equal_weights(runs / "two" / "mixed", runs / "one" / "mixed", "model-ema")


def test_two_processes_go_on_where_one_stopped(runs: Path) -> None:
    assert_equal_losses(runs / "two" / "mixed@one", runs / "one" / "mixed", CASES["mixed"].steps)
    assert_equal_weights(runs / "two" / "mixed@one", runs / "one" / "mixed", "model-ema")


def test_one_process_goes_on_where_two_stopped(runs: Path) -> None:
    interrupted(runs / "two" / "mixed", runs / "one" / "mixed@two")
    alone(runs / "one", ["mixed@two"])
    assert_equal_losses(runs / "one" / "mixed@two", runs / "one" / "mixed", CASES["mixed"].steps)
    assert_equal_weights(runs / "one" / "mixed@two", runs / "one" / "mixed", "model-ema")


@pytest.mark.slow
def test_three_processes_go_on_where_two_stopped(runs: Path) -> None:
    interrupted(runs / "two" / "mixed", runs / "three" / "mixed@two")
    carried_out(3, runs / "three", ["mixed@two"])
    assert_equal_losses(runs / "three" / "mixed@two", runs / "one" / "mixed", CASES["mixed"].steps)
    assert_equal_weights(runs / "three" / "mixed@two", runs / "one" / "mixed", "model-ema")


def test_checkpoints_of_several_processes_are_safetensors_and_json(runs: Path) -> None:
    newest = checkpoint.latest(runs / "two" / "mixed")
    assert newest is not None and newest.name == "step-0-00000006"
    files = [path for path in newest.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    held = [
        load_file(path)["language.head.weight"].shape[0]
        for path in (newest / "shards" / "model").iterdir()
    ]
    assert held == [170, 170]  # 340 rows, half in each process
    assert not list((runs / "two" / "mixed").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("names", [FUSIONS, POLICIES, WAYS], ids=["fusions", "policies", "ways"])
def test_every_kind_of_model_trains_alike(names: tuple[str, ...], tmp_path: Path) -> None:
    prepare(tmp_path, [CASES[name] for name in names])
    alone(tmp_path / "one", names)
    carried_out(2, tmp_path / "two", names)
    for name in names:
        assert_equal_losses(tmp_path / "two" / name, tmp_path / "one" / name, CASES[name].steps)
        assert_equal_weights(tmp_path / "two" / name, tmp_path / "one" / name)
    if names == WAYS:
        seen = [(tmp_path / n / "watched" / "watch.jsonl").read_text() for n in ("one", "two")]
        one, two = ([json.loads(line) for line in text.splitlines()] for text in seen)
        assert [line["answers"] for line in two] == [line["answers"] for line in one]
        for ours, theirs in zip(two, one, strict=True):
            assert ours["loss"] == pytest.approx(theirs["loss"], abs=CLOSE)
            assert ours["swapped"] == pytest.approx(theirs["swapped"], abs=CLOSE)
        assert (tmp_path / "two" / "watched" / "best" / "model.safetensors").is_file()


@pytest.mark.slow
def test_bfloat16_keeps_masters_in_float32(tmp_path: Path) -> None:
    """Gradients of two micro-batches are added up in float32 by two processes, and in bfloat16 by
    one: 8 bits of mantissa, so 1 % of the loss."""
    prepare(tmp_path, [CASES["bfloat16"]])
    alone(tmp_path / "one", ["bfloat16"])
    carried_out(2, tmp_path / "two", ["bfloat16"])
    found = losses(tmp_path / "two" / "bfloat16")
    assert found == pytest.approx(losses(tmp_path / "one" / "bfloat16"), rel=0.01)
    assert {t.dtype for t in weights(tmp_path / "two" / "bfloat16").values()} == {torch.bfloat16}
    newest = checkpoint.latest(tmp_path / "two" / "bfloat16")
    assert newest is not None
    for path in (newest / "shards" / "optim").iterdir():
        assert all(t.dtype == torch.float32 for t in load_file(path).values())


@pytest.mark.slow
def test_a_process_that_fails_ends_all(tmp_path: Path) -> None:
    prepare(tmp_path, [CASES["interleave"]])
    status, said = torchrun(2, "tests.helpers.shard_cases", str(tmp_path / "two"), "fault")
    assert status != 0
    assert "Fault: a disk is full" in said


@pytest.mark.slow
def test_a_process_without_a_good_row_keeps_step(tmp_path: Path) -> None:
    """Both rows of its micro-batch are bad: it runs the last good one for nothing."""
    prepare(tmp_path, [CASES["interleave"]])
    rows = tmp_path / "data-pt" / "rows.jsonl"
    lines = rows.read_text().splitlines()
    lines[6] = lines[7] = '{"id": "broken"}'  # all of a micro-batch of the second process
    rows.write_text("\n".join(lines))
    alone(tmp_path / "one", ["interleave"])
    carried_out(2, tmp_path / "two", ["interleave"])
    assert_equal_losses(tmp_path / "two" / "interleave", tmp_path / "one" / "interleave", STEPS)
    assert_equal_weights(tmp_path / "two" / "interleave", tmp_path / "one" / "interleave")


@pytest.mark.slow
def test_a_bad_row_of_one_process_is_told_by_all(tmp_path: Path) -> None:
    prepare(tmp_path, [CASES["interleave"]])
    rows = tmp_path / "data-pt" / "rows.jsonl"
    lines = rows.read_text().splitlines()
    for number in (0, 2, 4):  # two are allowed; the first process meets two, the second one
        lines[number] = '{"id": "broken"}'
    rows.write_text("\n".join(lines))
    status, said = torchrun(2, "tests.helpers.shard_cases", str(tmp_path / "two"), "interleave")
    assert status != 0
    assert "3 rows are bad in all processes, 2 are allowed; the last: " in said
    assert "rows.jsonl:5" in said
    assert all(f"[rank{rank}]: sightline.core.errors.DataError" in said for rank in (0, 1))


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint(tmp_path: Path) -> None:
    written = recipe(tmp_path, dtype="float32")
    folder = tmp_path / "run"
    change = ["train.stages.0.steps=100000", "train.stages.0.accumulate=2",
              "train.stages.1.accumulate=2", "train.checkpoint_every=100000"]  # fmt: skip
    started = start(2, "sightline", "train", str(written), *change, "--out", str(folder))
    log, began = folder / "log.jsonl", time.monotonic()
    while not (log.is_file() and len(log.read_text().splitlines()) > 1):
        assert started.poll() is None and time.monotonic() - began < LIMIT_S, started.communicate()
        time.sleep(0.1)
    started.send_signal(signal.SIGTERM)
    said, _ = started.communicate(timeout=LIMIT_S)
    assert "was asked to stop" in said, said[-3000:]
    newest = checkpoint.latest(folder)
    assert newest is not None
    steps = checkpoint.read_facts(newest).progress.step
    assert steps == len(log.read_text().splitlines())
