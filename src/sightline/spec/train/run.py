"""A whole run: stages in order, and how often to look, log and save."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.train.data import DataSpec
from sightline.spec.train.stage import StageSpec


class QuestionSpec(Spec):
    """A question that is answered again and again while training, about one picture or none."""

    question: str = Field(min_length=1)
    picture: str | None = None


class WatchSpec(Spec):
    """What is looked at every `every` steps and at the end of each stage.

    data: held-out rows (the first `rows` of them) whose loss is taken as they are, without their
    pictures and with those of other rows (promise 7: the gaps say whether the model looks).
    questions: answered greedily with at most `max_tokens`.
    keep_best: the weights with the lowest held-out loss are kept as `best`.
    """

    every: int = Field(default=500, ge=1)
    data: DataSpec | None = None
    rows: int = Field(default=64, ge=2)
    batch: int = Field(default=16, ge=1)
    questions: tuple[QuestionSpec, ...] = ()
    max_tokens: int = Field(default=48, ge=1)
    keep_best: bool = True

    @model_validator(mode="after")
    def _watches_something(self) -> WatchSpec:
        if self.data is None and not self.questions:
            raise SpecError("watch", "names nothing to look at", "give data or questions")
        return self


class TrainSpec(Spec):
    """All stages in order, and how often to look, log and save.

    workers: processes that read, decode and lay out rows ahead of time; 0 does it in between.
    log_rows: write the ids of the rows of every step to rows.jsonl.
    wandb: name of a Weights & Biases project.
    """

    stages: tuple[StageSpec, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0)
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    workers: int = Field(default=1, ge=0)
    log_every: int = Field(default=20, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    keep: int = Field(default=2, ge=1)
    watch: WatchSpec | None = None
    log_rows: bool = False
    tensorboard: bool = False
    wandb: str | None = None

    @model_validator(mode="after")
    def _means_are_kept(self) -> TrainSpec:
        for i, stage in enumerate(self.stages[:-1]):
            if stage.ema is not None:
                problem = "is of a stage that others follow: its means would be lost"
                raise SpecError(f"stages.{i}.ema", problem, "move it to the last stage")
        return self
