"""A recipe carried out: stages in order, from where the last checkpoint stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import torch

from sightline.core.errors import TrainError
from sightline.data.feed import Steps, feed
from sightline.data.scene_rows import scene_row
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.model.prepare import Prepared, Preparer
from sightline.model.vlm import Vlm
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.model import ModelSpec
from sightline.spec.train import ScenesSpec, StageSpec, TrainSpec
from sightline.train import checkpoint, freeze
from sightline.train.checkpoint import Progress
from sightline.train.loop import JsonlLog, Loss, Step, Watcher, run_stage
from sightline.train.optim import MasterOptimizer, linear_weights
from sightline.train.stages import align, instruct
from sightline.weights.fingerprint import fingerprint

LogReader = Callable[[dict[str, float]], None]


class Run:
    """One training run in one folder.

    `told` gets sentences for people, `log_readers` every log line, `watchers` every step.
    """

    def __init__(
        self,
        model: Vlm,
        tokenizer: Tokenizer,
        train: TrainSpec,
        folder: Path,
        *,
        told: Callable[[str], None] = print,
        log_readers: Iterable[LogReader] = (),
        watchers: Iterable[Watcher] = (),
    ) -> None:
        self.model, self.tokenizer, self.train, self.folder = model, tokenizer, train, folder
        self.told, self.log_readers, self.watchers = told, tuple(log_readers), tuple(watchers)

    def __call__(self) -> Vlm:
        """Run what is left; returns the trained model. Raises TrainError."""
        done, moments = self._restore()
        log = JsonlLog(self.folder / "log.jsonl", self.train.log_every, self.log_readers)
        try:
            for index in range(done.stage, len(self.train.stages)):
                start = done.step if index == done.stage else 0
                self._stage(index, start, moments if start else None, log)
        finally:
            log.close()
        return self.model.eval()

    def _restore(self) -> tuple[Progress, dict[str, torch.Tensor]]:
        path = checkpoint.latest(self.folder)
        if path is None:
            return Progress(), {}
        progress, tensors, moments = checkpoint.read(path)
        self._check(path, progress, tensors)
        self.model.load_state_dict(tensors)
        self.told(f"resumed from {path.name}")
        return progress, moments

    def _check(self, path: Path, progress: Progress, tensors: Mapping[str, torch.Tensor]) -> None:
        """Raises TrainError for a checkpoint that this recipe did not write."""
        wanted = {name: t.shape for name, t in self.model.state_dict().items()}
        stages = self.train.stages
        fits = progress.stage < len(stages) and progress.step <= stages[progress.stage].steps
        if not fits or {name: t.shape for name, t in tensors.items()} != wanted:
            other = "other tensors" if fits else "other stages"
            problem = f"was written by a recipe with {other}"
            raise TrainError(str(path), problem, "name another folder for this run")

    def _stage(
        self, index: int, start: int, moments: dict[str, torch.Tensor] | None, log: JsonlLog
    ) -> None:
        stage = self.train.stages[index]
        self.told(f"stage {index} ({stage.kind}): {describe(freeze.apply(self.model, stage))}")
        optim = MasterOptimizer(self.model.parameters(), stage, linear_weights(self.model))
        if moments is not None:
            optim.load(moments)
        prepare = Preparer(self.model.spec, self.tokenizer)
        steps = Steps(row_maker(stage, prepare), stage.batch, self.model.spec.prompt.pad_id)
        batches = feed(steps, start, stage.steps, self.train.workers)
        save = partial(self._save, index, stage, optim)
        self.model.train()
        run_stage(
            self.model,
            optim,
            stage,
            loss_of(stage),
            batches,
            [log, save, *self.watchers],
            index=index,
            start=start,
        )

    def _save(self, index: int, stage: StageSpec, optim: MasterOptimizer, step: Step) -> None:
        next_step = step.step + 1
        if next_step % self.train.checkpoint_every and next_step != stage.steps:
            return
        at = Progress(index, next_step)
        checkpoint.write(
            self.folder,
            at,
            self.model.state_dict(),
            optim.tensors(),
            self.train.keep,
            fingerprint(self.model.spec, self.tokenizer),
        )


def new_model(spec: ModelSpec, train: TrainSpec) -> Vlm:
    """A model drawn from the run's seed, in the run's dtype."""
    model = build_model(spec)
    initialise(model, train.seed)
    return model.to(torch.bfloat16 if train.dtype == "bfloat16" else torch.float32)


def loss_of(stage: StageSpec) -> Loss:
    """The loss of a stage."""
    match stage.kind:
        case "align":
            return align.loss
        case "instruct":
            return instruct.loss
        case _:
            assert_never(stage.kind)


def row_maker(stage: StageSpec, prepare: Preparer) -> Callable[[int], Prepared]:
    """Row i of the stage's data, prepared as the model will read it."""
    match stage.data:
        case ScenesSpec() as data:
            return partial(_scene, data, prepare)
        case _:
            assert_never(stage.data)


def _scene(data: ScenesSpec, prepare: Preparer, index: int) -> Prepared:
    messages: list[dict[str, Any]] = scene_row(data, index, prepare.spec.prompt.grounding)
    return prepare(messages, add_generation_prompt=False)


def describe(rows: Iterable[freeze.PartRow]) -> str:
    """One phrase per part: what trains and how large it is."""
    return ", ".join(
        f"{row.part} {'trained' if row.trains else 'frozen'} ({row.parameters:,})" for row in rows
    )
