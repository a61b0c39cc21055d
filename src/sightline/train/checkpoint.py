"""Checkpoints: written whole or not at all, read back exactly."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sightline.core.errors import TrainError


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: the stage, and the next step of it."""

    stage: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if not all(type(count) is int and count >= 0 for count in (self.stage, self.step)):
            raise TypeError(f"progress is counted in whole steps, not in {self}")


def write(
    folder: Path,
    progress: Progress,
    model: dict[str, Tensor],
    optim: dict[str, Tensor],
    keep: int,
    fingerprint: Mapping[str, str] | None = None,
) -> Path:
    """Save under `folder/step-<stage>-<step>`, rename into place, drop the oldest beyond `keep`."""
    target = folder / f"step-{progress.stage}-{progress.step:08d}"
    partial = folder / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in model.items()}, partial / "model.safetensors")
    save_file({k: v.contiguous() for k, v in optim.items()}, partial / "optim.safetensors")
    (partial / "fingerprint.json").write_text(json.dumps(dict(fingerprint or {})))
    (partial / "progress.json").write_text(json.dumps(asdict(progress)))
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)
    for old in _found(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint, if any."""
    found = _found(folder)
    return found[-1] if found else None


def read(path: Path) -> tuple[Progress, dict[str, Tensor], dict[str, Tensor]]:
    """Progress, model tensors and optimiser tensors. Raises TrainError for a damaged folder."""
    try:
        progress = Progress(**json.loads((path / "progress.json").read_text()))
        tensors = (load_file(path / "model.safetensors"), load_file(path / "optim.safetensors"))
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        kind = type(error).__name__
        raise TrainError(
            str(path),
            f"is not a complete checkpoint ({kind})",
            "remove it; the run resumes from the one before",
        ) from None
    return progress, *tensors


def _found(folder: Path) -> list[Path]:
    named = (p for p in folder.glob("step-*-*") if re.fullmatch(r"step-\d+-\d{8,}", p.name))
    complete = (p for p in named if (p / "progress.json").is_file())
    return sorted(complete, key=lambda p: tuple(map(int, p.name.split("-")[1:])))
