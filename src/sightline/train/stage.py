"""One stage in progress: its parts, optimiser and running means, and what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.core.errors import TrainError
from sightline.model.vlm import Vlm
from sightline.nn.lora import adapters_of, blocks_of
from sightline.nn.nf4 import adapter_memory
from sightline.nn.recompute import recompute
from sightline.spec.train import FullSpec, PadSpec, StageSpec, TrainSpec
from sightline.train import checkpoint, parts, shards
from sightline.train.checkpoint import Checkpoint, Progress
from sightline.train.ema import Ema
from sightline.train.even import Evener
from sightline.train.loop import Loss, Step, Updater
from sightline.train.optim import MasterOptimizer, linear_weights
from sightline.train.shard import fill_whole, full_tensor, refuse_unsharded, sharded
from sightline.train.trainee import Trainee, flops_of
from sightline.train.world import World


@dataclass
class StageRun:
    """What one stage trains, and with what. `touched`: names of tensors that the run has changed;
    `working`: the model that runs, which in several processes is its sharded twin.

    Made in three steps: parts and tensors (`begin`), the update (`updater`), then `after`, `write`
    and `gather` while it runs; at its end `settle`.
    """

    model: Trainee
    stage: StageSpec
    train: TrainSpec
    index: int
    touched: set[str]
    world: World
    working: Trainee = field(init=False)
    optim: MasterOptimizer = field(init=False)
    ema: Ema | None = field(default=None, init=False)

    def begin(self, resumed: Checkpoint | None) -> Iterator[str]:
        """Freeze, adapt and fill the model; says what trains."""
        seed = 1000 * self.train.seed + 10 * self.index
        self.touched |= parts.prepare_parts(self.model, self.stage, seed)
        self.touched |= {n for n, p in self.model.named_parameters() if p.requires_grad}
        said = self._said()
        recompute(_blocks(self.model), self.stage.checkpointing)
        self.working = self._shared()
        if resumed is not None:
            self._fill(resumed)
        if self.stage.compile:
            for block in _blocks(self.working):
                block.compile()
        self._optimise(resumed)
        self._seed(seed, resumed)
        self.working.train()
        yield f"stage {self.index} ({self.stage.kind}): {said}"
        if any(linear.store is not None for _, linear, _ in adapters_of(self.model)):
            yield str(adapter_memory(self.model))

    def _shared(self) -> Trainee:
        """Raises TrainError for what several processes cannot share."""
        if self.world.size == 1:
            return self.model
        refuse_unsharded(self.model, self.stage)
        return sharded(self.model, self.model.dtype, self.world)

    def _seed(self, seed: int, resumed: Checkpoint | None) -> None:
        """Processes draw numbers of their own; each goes on with those that it left."""
        torch.manual_seed(seed + self.world.rank)
        random = {} if resumed is None else shards.group_of(resumed, "random")
        if (state := random.get(self._own("cpu"))) is not None:
            torch.set_rng_state(state)
        device = self.working.device
        if device.type == "cuda" and (state := random.get(self._own("cuda"))) is not None:
            torch.cuda.set_rng_state(state, device)

    def _random(self) -> dict[str, Tensor]:
        """The states of this process's generators."""
        states = {self._own("cpu"): torch.get_rng_state()}
        if (device := self.working.device).type == "cuda":
            states[self._own("cuda")] = torch.cuda.get_rng_state(device)
        return states

    def _own(self, device: str) -> str:
        return device if self.world.leads else f"{device}-{self.world.rank}"

    def _said(self) -> str:
        return ", ".join(
            f"{row.part} {row.how} ({row.trained:,} of {row.parameters:,} at {row.lr:g})"
            if row.trained
            else f"{row.part} frozen ({row.parameters:,})"
            for row in parts.table(self.model, self.stage)
        )

    def _fill(self, resumed: Checkpoint) -> None:
        """Raises TrainError for tensors of another model."""
        changing = self._changing()
        found = shards.group_of(resumed, "model", changing)
        own = {name: t.shape for name, t in changing.items()}
        if {name: t.shape for name, t in found.items()} != own:
            problem = "was written by a recipe with other tensors"
            raise TrainError("checkpoint", problem, "name another folder for this run")
        self.working.load_state_dict(dict(found), strict=False)

    def _optimise(self, resumed: Checkpoint | None) -> None:
        groups = parts.groups(self.working, self.stage)
        self.optim = MasterOptimizer(groups, self.stage, linear_weights(self.working))
        if self.stage.ema is not None:
            self.ema = Ema(self.optim.names, self.optim.masters, self.stage.ema)
        if resumed is not None and resumed.progress.step:
            masters = dict(zip(self.optim.names, self.optim.masters, strict=True))
            self.optim.load(dict(shards.group_of(resumed, "optim", masters)))
            if self.ema is not None:
                self.ema.load(shards.group_of(resumed, "ema", masters))

    def updater(self, loss_of: Loss) -> Updater:
        """The update of one step."""
        model, trains = self.model, self.stage.trains
        full = frozenset(part for part, way in trains.items() if isinstance(way, FullSpec))
        adapted = frozenset(trains) - full
        return Updater(
            self.working,
            self.optim,
            self.stage,
            loss_of,
            self.working.device,
            model.dtype,
            self.world,
            flops_of(model, full, adapted),
            self._even(),
        )

    def _even(self) -> Callable[[Sequence[Any]], Sequence[Any]]:
        """Both towers of a pair run once for every micro-batch: there is nothing to even out."""
        if self.world.size == 1 or not isinstance(self.model, Vlm):
            return list
        return Evener(self.model.spec, self.world)

    def after(self, step: Step) -> None:
        """What follows every update."""
        if self.ema is not None:
            self.ema.update(step.step)

    def write(
        self,
        folder: Path,
        step: Step,
        facts: Mapping[str, object],
        fingerprint: Mapping[str, str],
        keep: int,
    ) -> None:
        """A checkpoint after `step`."""
        made = Checkpoint(
            Progress(self.index, step.step + 1),
            self._changing(),
            self.optim.tensors(),
            {} if self.ema is None else self.ema.tensors(),
            self._random(),
            step.feed,
            facts,
            fingerprint,
        )
        if self.world.size > 1:
            shards.write(folder, made, keep, self.world)
        else:
            checkpoint.write(folder, made, keep)

    def gather(self) -> None:
        """Give `model` the values of its twin, in the first process; all must call it."""
        if self.working is not self.model:
            fill_whole(self.model, self.working, keep=self.world.leads)

    def settle(self) -> None:
        """Leave `model` and running means whole in every process: the stage is done."""
        if self.working is not self.model:
            fill_whole(self.model, self.working)
            self.working = self.model
        if self.ema is not None:
            self.ema.means = [full_tensor(mean) for mean in self.ema.means]

    def _changing(self) -> dict[str, Tensor]:
        """Tensors that the recipe alone does not give back: those that the run has changed, stored
        forms of them, and buffers that modules keep up themselves."""
        state = self.working.state_dict()
        trained = {name for name, _ in self.working.named_parameters()}
        return {name: t for name, t in state.items() if self._changes(name, name in trained)}

    def _changes(self, name: str, is_parameter: bool) -> bool:
        layer, stored, _ = name.partition(".store.")
        if stored:
            return f"{layer}.weight" in self.touched
        return not is_parameter or name in self.touched


def _blocks(model: Trainee) -> list[nn.Module]:
    return [*blocks_of(model.vision), *blocks_of(model.language)]


def with_steps(stage: StageSpec, num_rows: int | None) -> StageSpec:
    """The stage with its epochs counted as steps. Raises TrainError where rows have no end."""
    if stage.epochs is None:
        return stage
    if num_rows is None:
        raise TrainError("epochs", "cannot be counted: the data have no end", "give steps")
    assert isinstance(stage.batch, PadSpec), "the spec refuses epochs of packs"
    steps = math.ceil(stage.epochs * num_rows / (stage.batch.rows * stage.accumulate))
    stage.schedule.warmup(steps)  # refuses one that leaves none of them
    return stage.model_copy(update={"steps": steps, "epochs": None})
