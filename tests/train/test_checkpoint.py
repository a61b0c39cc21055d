"""Checkpoints: whole or not at all, the newest found, damage named."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.core.errors import TrainError
from sightline.train import checkpoint
from sightline.train.checkpoint import Checkpoint, Progress

MODEL = {
    "a.weight": torch.randn(3, 4).bfloat16(),
    "b": torch.arange(6.0).reshape(2, 3).T,
    "c": torch.tensor(7, dtype=torch.int64),
}
OPTIM = {"a|master": torch.randn(3, 4), "a|step": torch.tensor(3.0)}
EMA = {"a.weight": torch.randn(3, 4)}
RANDOM = {"cpu": torch.get_rng_state()}
FEED = {"draw": 7}


def write(folder, stage=0, step=5, keep=2):
    made = Checkpoint(Progress(stage, step), MODEL, OPTIM, EMA, RANDOM, FEED, {"best": 1.5})
    return checkpoint.write(folder, made, keep)


def test_what_is_read_is_what_was_written(tmp_path):
    path = write(tmp_path / "new" / "run", 1, 42)
    read = checkpoint.read(path)
    assert read.progress == Progress(1, 42)
    assert read.feed == FEED and read.facts == {"best": 1.5}
    groups = ((read.model, MODEL), (read.optim, OPTIM), (read.ema, EMA), (read.random, RANDOM))
    for found, given_ in groups:
        assert found.keys() == given_.keys()
        for name, tensor in given_.items():
            assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)


PROGRESS = st.tuples(st.integers(0, 11), st.integers(0, 10**9))


@settings(max_examples=30)
@given(st.lists(PROGRESS, min_size=1, max_size=6, unique=True))
def test_the_newest_is_the_latest_stage_and_step(tmp_path_factory, progresses):
    folder = tmp_path_factory.mktemp("run")
    for stage, step in progresses:
        path = folder / f"step-{stage}-{step:08d}"
        path.mkdir()
        (path / "state.json").write_text("{}")
    stage, step = max(progresses)
    assert checkpoint.latest(folder).name == f"step-{stage}-{step:08d}"


def test_the_oldest_go_and_the_last_are_kept(tmp_path):
    for step in (5, 10, 90, 100):
        write(tmp_path, 0, step, keep=2)
    write(tmp_path, 1, 5, keep=2)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-0-00000100", "step-1-00000005"]


def test_a_step_written_again_replaces_the_first(tmp_path):
    write(tmp_path)
    path = checkpoint.write(tmp_path, Checkpoint(Progress(0, 5), {"a": torch.ones(2)}), 2)
    read = checkpoint.read(path)
    assert list(read.model) == ["a"] and not read.optim and read.feed is None
    assert len(list(tmp_path.iterdir())) == 1


def test_there_may_be_none(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / "absent") is None


def test_what_a_killed_run_leaves_is_not_taken_for_a_checkpoint(tmp_path):
    """Killed while writing: only a hidden partial folder is there; the next write clears it."""
    good = write(tmp_path)
    partial = tmp_path / ".step-0-00000010.partial"
    shutil.copytree(good, partial)
    (partial / "optim.safetensors").write_bytes(b"half")
    assert checkpoint.latest(tmp_path) == good
    path = write(tmp_path, 0, 10)
    assert checkpoint.latest(tmp_path) == path and not partial.exists()
    checkpoint.read(path)


@pytest.mark.parametrize("at", ["first file", "second file", "progress", "rename"])
def test_nothing_appears_before_all_is_written(tmp_path, monkeypatch, at):
    good, real, calls = write(tmp_path, 0, 5), checkpoint.save_file, []

    def fail(*_):
        raise OSError("disk full")

    def save(*args):
        calls.append(args)
        return fail() if len(calls) == (1 if at == "first file" else 2) else real(*args)

    match at:
        case "progress":
            monkeypatch.setattr(checkpoint.json, "dumps", fail)
        case "rename":
            monkeypatch.setattr(checkpoint.os, "replace", fail)
        case _:
            monkeypatch.setattr(checkpoint, "save_file", save)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, 0, 6)
    assert checkpoint.latest(tmp_path) == good
    checkpoint.read(good)


def test_other_folders_are_left_alone(tmp_path):
    for name in ("step-0-best", "step-old-1", "notes", "step-0-5"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text("{}")
    for step in range(4):
        write(tmp_path, 0, step, keep=1)
    assert checkpoint.latest(tmp_path).name == "step-0-00000003"
    assert (tmp_path / "step-0-best").is_dir() and (tmp_path / "step-0-5").is_dir()


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


DAMAGE = {
    "model cut short": lambda p: cut(p / "model.safetensors"),
    "optim cut short": lambda p: cut(p / "optim.safetensors"),
    "model empty": lambda p: (p / "model.safetensors").write_bytes(b""),
    "model gone": lambda p: (p / "model.safetensors").unlink(),
    "optim gone": lambda p: (p / "optim.safetensors").unlink(),
    "progress gone": lambda p: (p / "state.json").unlink(),
    "progress cut short": lambda p: cut(p / "state.json"),
    "progress of another kind": lambda p: (p / "state.json").write_text(
        '{"progress": {"epoch": 3}}'
    ),
    "progress a list": lambda p: (p / "state.json").write_text("[1, 2]"),
    "progress not a number": lambda p: (p / "state.json").write_text('{"progress": {"step": "1"}}'),
    "progress below 0": lambda p: (p / "state.json").write_text('{"progress": {"step": -1}}'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_named(tmp_path, damage):
    path = write(tmp_path)
    DAMAGE[damage](path)
    with pytest.raises(TrainError) as caught:
        checkpoint.read(path)
    assert caught.value.field == str(path) and "not a complete checkpoint" in caught.value.problem
