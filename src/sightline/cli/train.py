"""`sightline train`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import sightline.api as api
from sightline.cli.folders import writable
from sightline.core.errors import TrainError
from sightline.core.log import messages
from sightline.spec.train import TrainSpec
from sightline.train.loop import Step
from sightline.train.recipe import cpu_threads, read_recipe
from sightline.train.run import Run


def train_command(
    recipe: Path, changes: Sequence[str], out: Path | None, threads: int | None
) -> None:
    """Train, then save the model into the run's folder as `model`."""
    cpu_threads(threads)
    read = read_recipe(recipe, changes)
    train = read.train
    folder = writable(out or Path("runs") / recipe.stem)
    model, tokenizer = read.model()
    with _bar() as bar:
        shown = ProgressBar(bar, train)
        run = Run(
            model,
            tokenizer,
            train,
            folder,
            told=partial(bar.console.print, markup=False),
            log_readers=[shown.read, *_tensorboard(train, folder)],
            watchers=[shown],
        )
        with _stopping():
            run()
    api.VisionLanguageModel(model, tokenizer).save(folder / "model")
    messages().print(f"saved {folder / 'model'}", markup=False)


@contextmanager
def _stopping() -> Iterator[None]:
    """A request to end (SIGTERM) becomes a TrainError, and the last checkpoint stays."""
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise TrainError("run", "was asked to stop", "the same command resumes the last checkpoint")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
        console=messages(),
    )


class ProgressBar:
    """The current stage: steps, time left, loss, tokens per second, share of time waiting."""

    def __init__(self, bar: Progress, train: TrainSpec) -> None:
        self.bar, self.train = bar, train
        self.stage, self.row = -1, bar.add_task("", facts="")

    def __call__(self, step: Step) -> None:
        if step.stage != self.stage:
            stage = self.train.stages[step.stage]
            self.bar.reset(
                self.row,
                total=stage.steps,
                completed=step.step,
                description=f"stage {step.stage} {stage.kind}",
            )
            self.stage = step.stage
        self.bar.update(self.row, completed=step.step + 1)

    def read(self, line: dict[str, float]) -> None:
        """Show a line of averages."""
        facts = (
            f"loss {line['loss']:.3f}  {line['target_tokens_per_s']:.0f} target and "
            f"{line['visual_tokens_per_s']:.0f} visual tokens/s  "
            f"waiting {100 * line['wait_share']:.0f} %"
        )
        self.bar.update(self.row, facts=facts)


def _tensorboard(train: TrainSpec, folder: Path) -> list[Callable[[dict[str, float]], None]]:
    if not train.tensorboard:
        return []
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainError(
            "train.tensorboard", "is not installed", "pip install 'sightline[train]'"
        ) from None
    writer: Any = SummaryWriter(str(folder / "tensorboard"))
    offsets = [0, *(sum(s.steps for s in train.stages[: i + 1]) for i in range(len(train.stages)))]

    def write(line: dict[str, float]) -> None:
        step = offsets[int(line["stage"])] + int(line["step"])
        for name, value in line.items():
            writer.add_scalar(name, value, step)

    return [write]
