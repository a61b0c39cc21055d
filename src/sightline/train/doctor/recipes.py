"""A recipe examined, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from sightline.core.errors import SightlineError
from sightline.data.rows import TrainRow
from sightline.planner.formats import weight_bytes
from sightline.planner.tensors import weights
from sightline.planner.train import TrainPlan
from sightline.spec.model import ModelSpec
from sightline.spec.train import PARTS, StageSpec
from sightline.train.doctor.finding import Finding
from sightline.train.doctor.forecast import Machine, forecast
from sightline.train.doctor.gradients import gradient_findings
from sightline.train.doctor.mask import Run, runs_of
from sightline.train.doctor.survey import Survey, survey
from sightline.train.recipe import Made, Recipe
from sightline.train.stage import with_steps
from sightline.train.trainee import loss_of, maker_of

T = TypeVar("T")
BUILT_BYTES = 8 << 30  # a model up to this size is built for the check of its gradients


@dataclass
class StageReport:
    """What was found about one stage."""

    name: str
    stage: StageSpec
    survey: Survey | None = None
    shown: tuple[tuple[Run, ...], ...] = ()
    plan: TrainPlan | None = None
    findings: list[Finding] = field(default_factory=list)


@dataclass
class RecipeReport:
    """What was found about a recipe."""

    stages: list[StageReport]
    findings: list[Finding] = field(default_factory=list)

    @property
    def all(self) -> Iterator[Finding]:
        yield from self.findings
        for stage in self.stages:
            yield from stage.findings

    @property
    def healthy(self) -> bool:
        """Whether no error was found."""
        return not any(finding.level == "error" for finding in self.all)


def examine(
    recipe: Recipe, machine: Machine, *, most: int | None = 1000, shown: int = 2
) -> RecipeReport:
    """Everything that can go wrong with a recipe, as far as it can be seen without training.

    Reads `most` rows of each stage (None: all) and renders `shown` of them; makes one forward and
    backward pass where the model can be built here; forecasts memory, time and cost for `machine`.
    Raises SpecError for a recipe that cannot be read at all.
    """
    train = recipe.train
    names = [f"train.stages.{i}" for i in range(len(train.stages))]
    stages = [StageReport(n, s) for n, s in zip(names, train.stages, strict=True)]
    report = RecipeReport(stages)
    spec = None if recipe.is_pair else _tried(report.findings, recipe.spec)
    made = None
    if recipe.is_pair or (spec is not None and _held(spec) <= BUILT_BYTES):
        made = _tried(report.findings, recipe.make)
    elif spec is not None:
        text = f"takes {_held(spec) / 1e9:.0f} GB: gradients are not checked here"
        report.findings.append(Finding("warning", "model", text))
    for stage in stages:
        if made is not None:
            _rows(stage, made, recipe, most, shown)
            _gradients(stage, made)
        if spec is not None:
            _forecast(stage, spec, machine)
    return report


def _tried(findings: list[Finding], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except SightlineError as error:
        findings.append(Finding.of(error))
        return None


def _held(spec: ModelSpec) -> int:
    return sum(weight_bytes(weights(spec, part), "bf16") for part in PARTS)


def _rows(report: StageReport, made: Made, recipe: Recipe, most: int | None, shown: int) -> None:
    try:
        maker = maker_of(report.stage, made.model, made.tokenizer)
        found = survey(report.stage, maker, recipe.folder, most=most)
    except SightlineError as error:
        report.findings.append(Finding.of(error))
        return
    report.survey = found
    try:
        with_steps(report.stage, found.num_rows)
    except SightlineError as error:
        report.findings.append(Finding.of(error))
    report.findings += found.findings(report.stage, report.name)
    rendered = []
    for sample in found.samples[:shown]:
        try:
            row = maker.make(sample)
        except SightlineError as error:  # pixels that are damaged behind a whole header
            report.findings.append(Finding.of(error))
            continue
        if isinstance(row, TrainRow):
            rendered.append(tuple(runs_of(row, made.tokenizer)))
    report.shown = tuple(rendered)


def _gradients(report: StageReport, made: Made) -> None:
    if report.survey is None or not report.survey.samples:
        return
    maker = maker_of(report.stage, made.model, made.tokenizer)
    with torch.random.fork_rng():
        report.findings += gradient_findings(
            made.model,
            report.stage,
            loss_of(report.stage),
            maker,
            report.survey.samples,
            report.name,
        )


def _forecast(report: StageReport, spec: ModelSpec, machine: Machine) -> None:
    name = f"{report.name} {report.stage.kind}"
    try:
        plan = forecast(spec, report.stage, name, report.survey, machine)
    except SightlineError as error:
        report.findings.append(Finding.of(error))
        return
    report.plan = plan
    if plan is None:
        text = "how long it will take is not known: its rows could not be counted"
        report.findings.append(Finding("warning", report.name, text))
    elif not plan.fits:
        text = f"needs {plan.memory.total / 1e9:.1f} GB on each device of {plan.hardware}"
        fix = "lower batch, raise accumulate, or use checkpointing, adapters or more devices"
        report.findings.append(Finding("error", report.name, text, fix))
