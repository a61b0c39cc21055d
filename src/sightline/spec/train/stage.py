"""One stage of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.train.batch import BatchSpec, PadSpec
from sightline.spec.train.data import DataSpec
from sightline.spec.train.parts import PARTS, FullSpec, Part, PartSpec

Beta = Annotated[float, Field(ge=0, lt=1)]


class ScheduleSpec(Spec):
    """Learning rate over a stage: linear warm-up, then `cosine`, `linear`, or `wsd`: constant and
    a linear decay over the last `decay_share` of the steps. Ends at `floor` times the peak.

    The warm-up takes `warmup_steps`, or the share `warmup_share` of the steps where that is given.
    """

    kind: Literal["cosine", "linear", "wsd"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    warmup_share: float | None = Field(default=None, ge=0, lt=1)
    decay_share: float = Field(default=0.2, gt=0, le=1)
    floor: float = Field(default=0.0, ge=0, le=1)

    def warmup(self, steps: int) -> int:
        """Steps of the warm-up. Raises SpecError if they leave none of `steps`."""
        if self.warmup_share is not None:
            return int(self.warmup_share * steps)
        if self.warmup_steps >= steps:
            problem = f"{self.warmup_steps} leaves nothing of {steps} steps"
            raise SpecError("schedule.warmup_steps", problem, "lower it, or give warmup_share")
        return self.warmup_steps


class StageSpec(Spec):
    """One stage: which parts train and how, on which data, with which loss.

    kind: align (captions: every token of the description is a target), instruct (answer tokens are
    targets), contrastive (pictures and texts of a pair of towers find each other).
    trains: parts, in full (`[connector, language]`) or each in its way (`{language: {how: lora}}`).
    steps: updates; or `epochs`: passes over the data, where their rows are counted beforehand.
    accumulate: micro-batches of one update, shared out among all processes.
    checkpointing: blocks compute their activations again in the backward pass.
    ema: decay of a running mean of the weights, saved beside the model.
    compile: blocks run through torch.compile.
    """

    kind: Literal["align", "instruct", "contrastive"]
    trains: dict[Part, PartSpec] = Field(default_factory=lambda: _in_full(PARTS))
    data: DataSpec
    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    batch: BatchSpec = PadSpec()
    accumulate: int = Field(default=1, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    optimizer: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    weight_decay: float = Field(default=0.05, ge=0)
    clip: float = Field(default=1.0, gt=0)
    schedule: ScheduleSpec = ScheduleSpec()
    ema: float | None = Field(default=None, gt=0, lt=1)
    checkpointing: bool = False
    compile: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: Any) -> Any:
        """`trains: [vision]` means in full, as does `{vision: {lr: 1e-5}}`; `batch: 32` means 32
        padded rows."""
        if not isinstance(given, dict):
            return given
        long = dict(given)
        if "trains" in long:
            long["trains"] = _ways(long["trains"])
        batch = long.get("batch")
        if isinstance(batch, int) and not isinstance(batch, bool):
            long["batch"] = {"kind": "pad", "rows": batch}
        return long

    @model_validator(mode="after")
    def _consistent(self) -> StageSpec:
        if not self.trains:
            names = "vision, connector, fusion or language"
            raise SpecError("trains", "names no part", f"name {names}")
        if (self.steps is None) == (self.epochs is None):
            problem = "is missing" if self.steps is None else "stands beside epochs"
            raise SpecError("steps", problem, "give either steps or epochs")
        if self.epochs is not None and not isinstance(self.batch, PadSpec):
            problem = "does not say how many updates there will be: packs are not counted before"
            raise SpecError("epochs", problem, "give steps; `sightline doctor` says how many")
        if self.steps is not None:
            self.schedule.warmup(self.steps)
        return self

    @property
    def num_steps(self) -> int:
        """The updates of a stage whose epochs have been counted."""
        assert self.steps is not None, "epochs are resolved to steps before training"
        return self.steps


def _ways(given: Any) -> Any:
    """How each part trains, written out."""
    if isinstance(given, list | tuple):
        if len(set(given)) < len(given):
            raise SpecError("trains", f"names a part twice in {list(given)}", "name it once")
        given = {name: {} for name in given}
    if not isinstance(given, dict):
        return given
    plain = {name: {} if way is None else way for name, way in given.items()}
    return {
        name: {"how": "full", **way} if isinstance(way, dict) else way
        for name, way in plain.items()
    }


def _in_full(parts: tuple[Part, ...]) -> dict[Part, PartSpec]:
    return {part: FullSpec() for part in parts}
