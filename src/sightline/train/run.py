"""A recipe carried out: stages in order, from where the last checkpoint stands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from sightline.core.errors import TrainError
from sightline.data.loader import Feed
from sightline.model.pair import Pair
from sightline.nn.packed import keep_freed_memory
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.train import StageSpec, TrainSpec
from sightline.train import checkpoint, shards
from sightline.train.checkpoint import Checkpoint, Progress
from sightline.train.joint import joint
from sightline.train.log import Gauge, JsonlLog, LogReader, append, rewind, row_log
from sightline.train.loop import Step, Watcher, run_stage
from sightline.train.stage import StageRun, with_steps
from sightline.train.trainee import Trainee, loss_of, maker_of
from sightline.train.watch import Watch
from sightline.train.work import peak_flops
from sightline.train.world import ALONE, World
from sightline.train.written import write_model
from sightline.weights.fingerprint import fingerprint

LOG, ROWS, WATCH = "log.jsonl", "rows.jsonl", "watch.jsonl"
Told = Callable[[str], None]


@dataclass(slots=True)
class Stop:
    """Set from outside (a signal): the run writes a checkpoint after the step and ends."""

    asked: bool = False


@dataclass
class Run:
    """One training run in one folder.

    `told` gets sentences for people, `log_readers` every log line, `watchers` every step.
    `data_folder`: where relative paths of the data begin.
    """

    model: Trainee
    tokenizer: Tokenizer
    train: TrainSpec
    folder: Path
    data_folder: Path = Path()
    told: Told = print
    log_readers: tuple[LogReader, ...] = ()
    watchers: tuple[Watcher, ...] = ()
    world: World = ALONE
    stop: Stop = field(default_factory=Stop)
    touched: set[str] = field(default_factory=set, init=False)
    best: float = field(default=math.inf, init=False)
    bad_rows: int = field(default=0, init=False)
    updates: int = field(default=0, init=False)  # of the stages that are done
    last: StageRun | None = field(default=None, init=False)

    def __call__(self) -> Trainee:
        """Run what is left; returns the trained model. Raises TrainError or DataError."""
        resumed = self._resumed()
        first = Progress() if resumed is None else resumed.progress
        if self.model.device.type == "cpu":
            keep_freed_memory()  # a step then finds its memory in place
        gauge = self._gauge()
        log = JsonlLog(self.folder / LOG, self.train.log_every, self._readers(), gauge)
        try:
            for index in range(first.stage, len(self.train.stages)):
                self._stage(index, resumed if index == first.stage else None, log)
        finally:
            if self.world.leads:
                log.close()
        return self.model.eval()

    def _gauge(self) -> Gauge:
        """Several processes compute on accelerators where there are any (`train.shard`)."""
        shared = self.world.size > 1 and torch.cuda.is_available()
        device = torch.device("cuda") if shared else self.model.device
        return Gauge(device, self.world.size * peak_flops(device, self.model.dtype))

    def _readers(self) -> tuple[LogReader, ...]:
        return self.log_readers if self.world.leads else ()

    def _resumed(self) -> Checkpoint | None:
        path = checkpoint.latest(self.folder)
        if path is None:
            return None
        found = shards.read(path, self.world)
        self._check(path, found)
        self.touched |= set(found.facts["touched"])
        self.best, self.bad_rows = found.facts["best"], found.facts["bad_rows"]
        self.updates = found.facts["updates"]
        if self.world.leads:
            for name in (LOG, ROWS, WATCH):
                rewind(self.folder / name, found.progress.stage, found.progress.step)
        self.told(f"resumed from {path.name}")
        return found

    def _check(self, path: Path, found: Checkpoint) -> None:
        """Raises TrainError for a checkpoint that another recipe has written: other stages, another
        model, prompt or tokenizer. Other versions of what makes pixels are told."""
        stages, progress = self.train.stages, found.progress
        marks = fingerprint(self.model.spec, self.tokenizer)
        for name, was in found.fingerprint.items():
            if marks.get(name) == was:
                continue
            if name != "pixels":
                problem = f"was written with another {name}"
                raise TrainError(str(path), problem, "name another folder for this run")
            self.told("pixels may differ a little: the run began with other versions of libraries")
        steps = stages[progress.stage].steps if progress.stage < len(stages) else -1
        if steps is not None and progress.step > steps:
            problem = "was written by a recipe with other stages"
            raise TrainError(str(path), problem, "name another folder for this run")

    def _stage(self, index: int, resumed: Checkpoint | None, log: JsonlLog) -> None:
        declared = self.train.stages[index]
        maker = maker_of(declared, self.model, self.tokenizer)
        with Feed(
            declared.data,
            maker,
            declared.batch,
            folder=self.data_folder,
            accumulate=declared.accumulate,
            rank=self.world.rank,
            world=self.world.size,
            workers=self.train.workers,
        ) as feed:
            stage = with_steps(declared, feed.num_rows)
            run = StageRun(self.model, stage, self.train, index, self.touched, self.world)
            self.last = run
            for note in (*feed.notes, *run.begin(resumed)):
                self.told(note)
            start = 0 if resumed is None else resumed.progress.step
            state = None if resumed is None else resumed.feed
            run_stage(
                run.updater(loss_of(stage, self.world)),
                joint(feed.steps(state), self.world, feed.mixture.bad_rows, state),
                self._watchers(run, log),
                index=index,
                start=start,
                before=self.updates,
            )
            run.settle()
            self.updates += stage.num_steps

    def _watchers(self, run: StageRun, log: JsonlLog) -> list[Watcher]:
        """In the order in which they look: a checkpoint comes last, with all that they know."""
        watchers: list[Watcher] = [run.after, self._tell_bad]
        if self.world.leads:
            watchers.append(log)
            if self.train.log_rows:
                watchers.append(row_log(self.folder / ROWS))
        if self.train.watch is not None:
            if isinstance(working := run.working, Pair):
                problem = "asks a model that answers, not a pair of towers"
                raise TrainError("watch", problem, "leave it out, score the pair when it is done")
            watch = Watch(working, self.tokenizer, self.train.watch, self.data_folder)
            watchers.append(partial(self._watch, watch, run))
        return [*watchers, *self.watchers, partial(self._save, run)]

    def _tell_bad(self, step: Step) -> None:
        self.bad_rows += len(step.bad)
        for error in step.bad:
            self.told(f"left out: {error}")

    def _watch(self, watch: Watch, run: StageRun, step: Step) -> None:
        if not _due(watch.spec.every, step, run.stage):
            return
        seen = watch.look()
        if self.world.leads:
            append(self.folder / WATCH, {"stage": step.stage, "step": step.step, **seen.as_dict()})
        self.told(f"step {step.step + 1}: {seen.sentence}")
        if watch.spec.keep_best and seen.loss is not None and seen.loss < self.best:
            self.best = seen.loss
            run.gather()
            if self.world.leads:
                write_model(self.model, self.tokenizer, self.folder / "best")

    def _save(self, run: StageRun, step: Step) -> None:
        [stopping] = self.world.sums([float(self.stop.asked)])
        if not (stopping or _due(self.train.checkpoint_every, step, run.stage)):
            return
        facts = {
            "touched": sorted(self.touched),
            "best": self.best,
            "bad_rows": self.bad_rows,
            "updates": self.updates,
        }
        marks = fingerprint(self.model.spec, self.tokenizer)
        run.write(self.folder, step, facts, marks, self.train.keep)
        if stopping:
            problem = f"was asked to stop; a checkpoint of step {step.step + 1} is written"
            raise TrainError("run", problem, "the same command resumes it")


def _due(every: int, step: Step, stage: StageSpec) -> bool:
    return (step.step + 1) % every == 0 or step.step + 1 == stage.num_steps
