"""What a run writes down: lines of averages, the rows of every step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sightline.core.errors import TrainError
from sightline.train.loop import Step
from sightline.train.work import memory_bytes

LogReader = Callable[[dict[str, float]], None]


@dataclass(slots=True)
class Averages:
    """Running sums between two log lines."""

    steps: list[Step] = field(default_factory=list)

    def take(self) -> dict[str, float]:
        """Means since the last call; rates are per second of wall time, shares 0..1."""
        steps = self.steps
        wall = sum(s.step_s + s.wait_s for s in steps)
        out = {
            "stage": steps[-1].stage,
            "step": steps[-1].step,
            "update": steps[-1].update,
            "loss": sum(s.loss for s in steps) / len(steps),
            "lr": steps[-1].lr,
            "gradient_norm": max(s.gradient_norm for s in steps),
            "target_tokens_per_s": sum(s.counts.target_tokens for s in steps) / wall,
            "visual_tokens_per_s": sum(s.counts.visual_tokens for s in steps) / wall,
            "rows_per_s": sum(s.counts.rows for s in steps) / wall,
            "steps_per_s": len(steps) / wall,
            "wait_share": sum(s.wait_s for s in steps) / wall,
            "fill": sum(s.counts.tokens for s in steps) / sum(s.counts.capacity for s in steps),
        }
        self.steps = []
        return out


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a machine can do: FLOPs per second of all processes together, measured."""

    device: torch.device
    peak_flops: float

    def __call__(self, steps: list[Step]) -> dict[str, float]:
        """Share of the peak over the wall time of these steps, and bytes in use."""
        wall = sum(s.step_s + s.wait_s for s in steps)
        flops = sum(s.counts.flops for s in steps)
        out = {"mfu": flops / wall / self.peak_flops} if flops else {}
        held = memory_bytes(self.device)
        return out if held is None else out | {"memory_bytes": held}


class JsonlLog:
    """A line of averages every `every` steps and at the end of a stage, appended to a file and
    handed to `also`. With a `gauge` each line says how much of the peak was used (mfu), and the
    memory in use."""

    def __init__(
        self,
        path: Path,
        every: int,
        also: Iterable[LogReader] = (),
        gauge: Gauge | None = None,
    ) -> None:
        self.path, self.every, self.also, self.gauge = path, every, tuple(also), gauge
        self.averages = Averages()

    def __call__(self, step: Step) -> None:
        if self.averages.steps and self.averages.steps[-1].stage != step.stage:
            self._write()
        self.averages.steps.append(step)
        if (step.step + 1) % self.every == 0:
            self._write()

    def _write(self) -> None:
        extra = {} if self.gauge is None else self.gauge(self.averages.steps)
        line = self.averages.take() | extra
        append(self.path, line)
        for reader in self.also:
            reader(line)

    def close(self) -> None:
        if self.averages.steps:
            self._write()


def append(path: Path, line: dict[str, Any]) -> None:
    """One line of JSON at the end of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def row_log(path: Path) -> Callable[[Step], None]:
    """Writes the ids of the rows of every step."""

    def write(step: Step) -> None:
        append(path, {"stage": step.stage, "step": step.step, "rows": list(step.ids)})

    return write


def rewind(path: Path, stage: int, step: int) -> None:
    """Take back the lines of steps that a resumed run will take again."""
    if not path.is_file():
        return
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # cut off where the run was killed
            continue
        if (line["stage"], line["step"]) < (stage, step):
            kept.append(text + "\n")
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(kept), encoding="utf-8")
    part.replace(path)


def tensorboard(folder: Path) -> LogReader:
    """Writes every figure of a line by its update, counted over all stages."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        fix = "pip install 'sightline[train]'"
        raise TrainError("train.tensorboard", "is not installed", fix) from None
    writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def write(line: dict[str, float]) -> None:
        for name, value in line.items():
            writer.add_scalar(name, value, int(line["update"]))
        writer.flush()

    return write


def wandb(project: str, folder: Path) -> LogReader:
    """Sends every figure of a line to Weights & Biases; WANDB_MODE=offline keeps it in `folder`."""
    try:
        import wandb as client
    except ImportError:
        raise TrainError("train.wandb", "is not installed", "pip install wandb") from None
    run = client.init(project=project, dir=str(folder))

    def write(line: dict[str, float]) -> None:
        run.log(dict(line), step=int(line["update"]))

    return write
