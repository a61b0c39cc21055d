"""`sightline train`: all stages, killed and resumed to the same bits, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.cli.test_bad_input import refused
from tests.helpers.console import Console, Ran
from tests.helpers.recipes import recipe

import sightline

DYING = """
import os, sys
import sightline.train.loop as loop
steps, update = [], loop.Updater.__call__
last, signal = int(sys.argv[1]), int(sys.argv[2])
def dying(*args):
    steps.append(args)
    if len(steps) == last:
        os.kill(os.getpid(), signal)
    return update(*args)
loop.Updater.__call__ = dying
sys.argv = ["sightline", *sys.argv[3:]]
from sightline.cli import main
main()
"""


def dying(step: int, signal: int, *args: object) -> Ran:
    """A real run that gets a signal before its update number `step`."""
    command = [sys.executable, "-c", DYING, str(step), str(signal), "train", *map(str, args)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def same(a: Path, b: Path) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def checkpoints(run: Path) -> list[str]:
    return sorted(path.name for path in run.glob("step-*"))


def test_killed_and_resumed_is_undisturbed(console: Console, tmp_path: Path) -> None:
    """Killed in the second stage between two checkpoints, then told to stop (which writes one in
    between), then run out."""
    path = recipe(tmp_path)
    whole = console("train", path, "--out", tmp_path / "whole")
    assert whole.code == 0 and "stage 1 (instruct)" in whole.err, whole.err
    broken = tmp_path / "broken"
    killed = dying(6, 9, path, "--out", broken)
    assert killed.code == -9 and checkpoints(broken) == ["step-0-00000003", "step-0-00000004"]
    stopped = dying(2, 15, path, "--out", broken)
    assert stopped.code == 2 and "Traceback" not in stopped.err
    assert stopped.err.splitlines()[-1] == (
        "error: run: was asked to stop; a checkpoint of step 2 is written; "
        "the same command resumes it"
    )
    assert checkpoints(broken) == ["step-0-00000004", "step-1-00000002"]
    resumed = console("train", path, "--out", broken)
    assert resumed.code == 0 and "resumed from step-1-00000002" in resumed.err
    assert same(broken, tmp_path / "whole")
    assert "resumed from step-1-00000004" in console("train", path, "--out", broken).err
    assert same(broken, tmp_path / "whole")
    answer = sightline.load(broken / "model").ask("What?", max_tokens=3)
    assert answer.usage.answer_tokens > 0


def test_the_log_tells_every_step_and_frozen_parts_stay(console: Console, tmp_path: Path) -> None:
    path, out = recipe(tmp_path), tmp_path / "run"
    assert console("train", path, "train.keep=9", "--out", out, "--threads", 1).code == 0
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps = [(line["stage"], line["step"]) for line in lines]
    assert steps == [(stage, step) for stage in (0, 1) for step in range(4)]
    assert all(line["visual_tokens_per_s"] > 0 and 0 < line["loss"] < 9 for line in lines)
    first, last = (
        load_file(out / name / "model.safetensors")
        for name in ("step-0-00000003", "step-0-00000004")
    )
    moved = {n.partition(".")[0] for n in first if not torch.equal(first[n], last[n])}
    assert moved == {"connector", "language"}


def test_tensorboard_gets_the_same_figures(console: Console, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    ran = console("train", recipe(tmp_path, tensorboard=True), "--out", out)
    assert ran.code == 0, ran.err
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    shown = [(e.step, e.value) for e in events.Scalars("loss")]
    logged = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert [step for step, _ in shown] == list(range(8))
    assert [value for _, value in shown] == pytest.approx(logged)


@pytest.mark.parametrize(
    ("change", "says"),
    [("trian.seed=3", "'trian' is not in the recipe"), ("speed=3", "speed: is unknown"),
     ("train.speed=3", "train.speed"), ("train.stages.0.steps=0", "train.stages.0.steps"),
     ("train.stages.7.steps=1", "not one of 2 entries"), ("train.workers.x=3", "has no fields"),
     ("nonsense", "write field=value"), ("train.seed=[", "is not YAML"), ("train=3", "train: is 3"),
     ("train.stages.0.trains=[]", "names no part"), ("model.vision.heads=5", "model.vision.heads"),
     ("tokenizer=nowhere", "nowhere"), ("tokenizer=3", "tokenizer: is 3"),
     ("train.stages.0.schedule.warmup_steps=9", "leaves nothing of 4 steps"),
     ("train.stages.0.data.kinds=[taste]", "kinds")],
)  # fmt: skip
def test_wrong_changes(change: str, says: str, console: Console, tmp_path: Path) -> None:
    ran = console("train", recipe(tmp_path), change, "--out", tmp_path / "run")
    refused(Ran(ran.code, ran.out, ran.err.splitlines()[-1] + "\n"), says)
    assert "Traceback" not in ran.err


def test_wrong_files_and_folders(console: Console, tmp_path: Path) -> None:
    path = recipe(tmp_path)
    refused(console("train", tmp_path / "absent.yaml"), "absent.yaml: cannot be read")
    (tmp_path / "list.yaml").write_text("- 1")
    refused(console("train", tmp_path / "list.yaml"), "write a mapping")
    (tmp_path / "file").write_text("")
    refused(console("train", path, "--out", tmp_path / "file"), "cannot be written")
    refused(console("train", path, "--threads", 0), "threads: is 0")


def test_a_folder_of_another_recipe_is_refused(console: Console, tmp_path: Path) -> None:
    path, out = recipe(tmp_path), tmp_path / "run"
    assert console("train", path, "--out", out).code == 0
    wider = console("train", path, "model.language.mlp.width=20", "--out", out)
    assert wider.code == 2 and "another spec" in wider.err and "Traceback" not in wider.err
    (tmp_path / "words" / "tokenizer.json").write_text(
        (tmp_path / "words" / "tokenizer.json").read_text().replace("<|user|>", "<|asks|>")
    )
    renamed = console("train", path, "--out", out)
    assert renamed.code == 2 and "another tokenizer" in renamed.err, renamed.err
    recipe(tmp_path)  # as it was
    shorter = console("train", path, "train.stages.1.steps=2", "--out", out)
    assert shorter.code == 2 and "other stages" in shorter.err
    (out / "step-1-00000004" / "model.safetensors").write_bytes(b"")
    damaged = console("train", path, "--out", out)
    assert damaged.code == 2 and "is not a complete checkpoint" in damaged.err
