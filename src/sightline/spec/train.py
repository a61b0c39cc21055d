"""What is trained, on what, for how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError

Part = Literal["vision", "connector", "language"]
Beta = Annotated[float, Field(ge=0, lt=1)]


class ScenesSpec(Spec):
    """Generated scenes (data/worlds/scenes): row i of a run is a function of (seed, i).

    A row is a picture and a conversation about it: with probability `dense_share` it opens with
    the box of every object, with `caption_share` a caption is among its questions, and questions
    of `kinds` (one named twice is asked twice as often; a template stands for itself, as
    `relation.vertical`) follow while their words, counted with punctuation, stay within `words`.
    Pictures are drawn at one of `sides` pixels.
    """

    kind: Literal["scenes"] = "scenes"
    seed: int = Field(default=0, ge=0)
    kinds: tuple[str, ...] = (
        "colour",
        "shape",
        "size",
        "count",
        "exists",
        "relation",
        "compare",
        "locate",
    )
    dense_share: float = Field(default=0.0, ge=0, le=1)
    caption_share: float = Field(default=0.0, ge=0, le=1)
    questions: int = Field(default=10, ge=1)
    words: int = Field(default=150, ge=16)
    sides: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(224,), min_length=1)
    min_objects: int = Field(default=1, ge=1, le=8)
    max_objects: int = Field(default=8, ge=1, le=8)
    plain: bool = Field(default=False, description="no textures, one even background")
    smallest: float = Field(default=0.08, gt=0, lt=1, description="share of the picture's side")

    @model_validator(mode="after")
    def _shares_fit(self) -> ScenesSpec:
        if self.dense_share + self.caption_share > 1:
            raise SpecError(
                "caption_share",
                f"{self.caption_share} and dense_share {self.dense_share} exceed 1 together",
                "lower one of them",
            )
        return self


class ScheduleSpec(Spec):
    """Learning rate over a stage: linear warm-up, then `cosine`, `linear`, or `wsd`: constant and
    a linear decay over the last `decay_share` of the steps. Ends at `floor` times the peak."""

    kind: Literal["cosine", "linear", "wsd"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    decay_share: float = Field(default=0.2, gt=0, le=1)
    floor: float = Field(default=0.0, ge=0, le=1)


class StageSpec(Spec):
    """One stage: which parts train, on which data, with which loss.

    align: every token of the description is a target. instruct: answer tokens are targets.
    """

    kind: Literal["align", "instruct"]
    trains: tuple[Part, ...] = ("vision", "connector", "language")
    data: Annotated[ScenesSpec, Field(discriminator=None)]
    steps: int = Field(ge=1)
    batch: int = Field(default=32, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    weight_decay: float = Field(default=0.05, ge=0)
    clip: float = Field(default=1.0, gt=0)
    schedule: ScheduleSpec = ScheduleSpec()

    @model_validator(mode="after")
    def _something_trains(self) -> StageSpec:
        if not self.trains:
            raise SpecError("trains", "names no part", "name vision, connector or language")
        if self.schedule.warmup_steps >= self.steps:
            raise SpecError(
                "schedule.warmup_steps",
                f"{self.schedule.warmup_steps} leaves nothing of {self.steps} steps",
                "lower it",
            )
        return self


class TrainSpec(Spec):
    """All stages in order, and how often to look, log and save."""

    stages: tuple[StageSpec, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0)
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    workers: int = Field(default=1, ge=0)
    log_every: int = Field(default=20, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    keep: int = Field(default=2, ge=1)
    tensorboard: bool = False
