"""Checkpoints: written whole or not at all, read back exactly."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sightline.core.errors import TrainError

GROUPS = ("model", "optim", "ema", "random")
DAMAGE = (OSError, ValueError, TypeError, KeyError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: the stage, and the next step of it."""

    stage: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if not all(type(count) is int and count >= 0 for count in (self.stage, self.step)):
            raise TypeError(f"progress is counted in whole steps, not in {self}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Attributes:
        model: tensors that training has changed or may change; the others are as the recipe made
            them.
        optim: masters and moments; ema: running means; random: states of the generators.
        feed: where the data stand.
        facts: the lowest held-out loss so far, and what else the run counts.
        fingerprint: what must be equal to see the same pixels and tokens.
        path: where its tensors lie, if they are not read yet.
    """

    progress: Progress
    model: Mapping[str, Tensor]
    optim: Mapping[str, Tensor] = field(default_factory=dict)
    ema: Mapping[str, Tensor] = field(default_factory=dict)
    random: Mapping[str, Tensor] = field(default_factory=dict)
    feed: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    def tensors(self, group: str) -> Mapping[str, Tensor]:
        """One of GROUPS."""
        tensors: Mapping[str, Tensor] = getattr(self, group)
        return tensors


def write(folder: Path, made: Checkpoint, keep: int) -> Path:
    """Save under `folder/step-<stage>-<step>`, rename into place, drop the oldest beyond `keep`."""
    target = folder / name_of(made.progress)
    with_partial(target, lambda partial: _write_tensors(partial, made), made)
    drop_old(folder, keep)
    return target


def name_of(progress: Progress) -> str:
    """The name of a checkpoint's folder."""
    return f"step-{progress.stage}-{progress.step:08d}"


def with_partial(target: Path, write_tensors: Any, made: Checkpoint) -> None:
    """Fill a hidden folder by `write_tensors`, add the facts, and give it its name at the end."""
    partial = partial_of(target)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_tensors(partial)
    (partial / "fingerprint.json").write_text(json.dumps(dict(made.fingerprint)))
    state = {"progress": asdict(made.progress), "feed": made.feed, "facts": dict(made.facts)}
    (partial / "state.json").write_text(json.dumps(state))
    _sync(partial)
    if target.exists():
        _remove(target)
    os.replace(partial, target)


def partial_of(target: Path) -> Path:
    """The hidden folder in which a checkpoint is made."""
    return target.with_name(f".{target.name}.partial")


def _write_tensors(partial: Path, made: Checkpoint) -> None:
    for group in GROUPS:
        tensors = {k: v.detach().cpu().contiguous() for k, v in made.tensors(group).items()}
        owned = {k: v.clone() if v._is_view() else v for k, v in tensors.items()}
        save_file(owned, partial / f"{group}.safetensors")


def _sync(partial: Path) -> None:
    """To the disk, so that a folder with its name is whole even after the power fails."""
    for path in partial.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _remove(path: Path) -> None:
    """Out of sight first: a folder under its name is always whole."""
    hidden = path.with_name(f".{path.name}.old")
    shutil.rmtree(hidden, ignore_errors=True)
    os.replace(path, hidden)
    shutil.rmtree(hidden)


def drop_old(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints."""
    for old in found(folder)[:-keep]:
        _remove(old)


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint, if any."""
    complete = found(folder)
    return complete[-1] if complete else None


def read(path: Path) -> Checkpoint:
    """A checkpoint that one process wrote. Raises TrainError for a damaged folder."""
    found = read_facts(path)
    try:
        tensors = {group: load_file(path / f"{group}.safetensors") for group in GROUPS}
    except DAMAGE as error:
        raise damaged(path, error) from None
    return with_tensors(found, tensors)


def with_tensors(found: Checkpoint, tensors: Mapping[str, Mapping[str, Tensor]]) -> Checkpoint:
    """The checkpoint with the tensors of its GROUPS read."""
    model, optim, ema, random = (tensors[group] for group in GROUPS)
    return replace(found, path=None, model=model, optim=optim, ema=ema, random=random)


def read_facts(path: Path) -> Checkpoint:
    """A checkpoint without its tensors. Raises TrainError for a damaged folder."""
    try:
        state = json.loads((path / "state.json").read_text())
        fingerprint = json.loads((path / "fingerprint.json").read_text())
        progress = Progress(**state["progress"])
        feed, facts = state["feed"], dict(state["facts"])
    except DAMAGE as error:
        raise damaged(path, error) from None
    return Checkpoint(progress, {}, feed=feed, facts=facts, fingerprint=fingerprint, path=path)


def damaged(path: Path, error: Exception) -> TrainError:
    """What is said of a folder that cannot be read."""
    problem = f"is not a complete checkpoint ({type(error).__name__})"
    return TrainError(str(path), problem, "remove it; the run resumes from the one before")


def found(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    named = (p for p in folder.glob("step-*-*") if re.fullmatch(r"step-\d+-\d{8,}", p.name))
    complete = (p for p in named if (p / "state.json").is_file())
    return sorted(complete, key=lambda p: tuple(map(int, p.name.split("-")[1:])))
