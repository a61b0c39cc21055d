"""`sightline train`."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sightline.cli.folders import writable
from sightline.core.log import messages
from sightline.nn.named import named_device
from sightline.spec.train import TrainSpec
from sightline.train.finish import finish
from sightline.train.log import LogReader, tensorboard, wandb
from sightline.train.loop import Step
from sightline.train.recipe import cpu_threads, read_recipe
from sightline.train.run import Run, Stop
from sightline.train.world import World, joined_world


def train_command(
    recipe: Path, changes: Sequence[str], out: Path | None, threads: int | None, device: str
) -> None:
    """Train, then save the model into the run's folder as `model`. On device `auto` that is an
    accelerator where there is one; of several processes each has its own."""
    cpu_threads(threads)
    read = read_recipe(recipe, changes)
    train = read.train
    folder = writable(out or Path("runs") / recipe.stem)
    with joined_world() as world, _bar(world) as bar, _stopping(world) as stop:
        made = read.make()
        if world.size == 1:
            made.model.to(_device(device))
        shown = ProgressBar(bar, train)
        tell = partial(bar.console.print, markup=False, soft_wrap=True)
        for note in made.notes:
            tell(note)
        run = Run(
            made.model,
            made.tokenizer,
            train,
            folder,
            read.folder,
            told=tell,
            log_readers=(shown.read, *(_log_readers(train, folder) if world.leads else ())),
            watchers=(shown,),
            world=world,
            stop=stop,
        )
        run()
        for written in finish(made, run):
            tell(f"saved {written}")


def _device(name: str) -> torch.device:
    """Raises SpecError for a device that is not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return named_device(name)


@contextmanager
def _stopping(world: World) -> Iterator[Stop]:
    """A request to end (SIGTERM) is carried out after the step: a checkpoint, then an error. A
    second one ends at once, and the last checkpoint stays; not so among several processes, which
    may get each twice (from `torchrun`, and from who has asked all) and are killed by it in the
    end."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked and world.size == 1:
            raise KeyboardInterrupt
        stop.asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


def _bar(world: World) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
        console=messages(quiet=not world.leads),
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
                total=step.steps,
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


def _log_readers(train: TrainSpec, folder: Path) -> list[LogReader]:
    readers: list[LogReader] = []
    if train.tensorboard:
        readers.append(tensorboard(folder))
    if train.wandb is not None:
        readers.append(wandb(train.wandb, folder))
    return readers
