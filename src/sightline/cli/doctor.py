"""`sightline doctor`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from sightline.core.log import output
from sightline.planner.units import show_bytes
from sightline.train.doctor.finding import Finding
from sightline.train.doctor.forecast import Machine
from sightline.train.doctor.mask import Run
from sightline.train.doctor.models import examine_model
from sightline.train.doctor.recipes import RecipeReport, StageReport, examine
from sightline.train.recipe import read_recipe

MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "error": "[red]error[/]"}
STYLES = {"given": "dim", "taught": "bold green", "visual": "cyan"}
BARS = " ▁▂▃▄▅▆▇█"
BINS = 24


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """What the command line was given. rows: of each stage; 0 reads all."""

    subject: str
    changes: Sequence[str]
    rows: int
    show: int
    hardware: str
    gpus: int
    price: float
    as_json: bool


def doctor_command(options: DoctorOptions) -> None:
    """Print what was found; exit code 1 if anything is wrong."""
    path = Path(options.subject)
    if path.suffix in (".yaml", ".yml"):
        report = examine(
            read_recipe(path, options.changes),
            Machine(options.hardware, options.gpus, options.price),
            most=options.rows or None,
            shown=options.show,
        )
        _print_report(report, options.as_json)
        healthy = report.healthy
    else:
        findings = examine_model(_folder(options.subject))
        _print_findings(findings, options.as_json)
        healthy = all(finding.level != "error" for finding in findings)
    if not healthy:
        raise typer.Exit(1)


def _folder(name: str) -> Path:
    from sightline.api import EMBEDDED
    from sightline.hub.find import find

    return EMBEDDED / "tiny" if name == "tiny" else find(name)


def _print_findings(findings: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        output().print_json(json.dumps([asdict(finding) for finding in findings]))
        return
    for finding in findings:
        output().print(MARKS[finding.level], Text(str(finding)), soft_wrap=True)


def _print_report(report: RecipeReport, as_json: bool) -> None:
    if as_json:
        output().print_json(json.dumps(_plain(report)))
        return
    _print_findings(report.findings, False)
    for stage in report.stages:
        output().rule(f"{stage.name}: {stage.stage.kind}", align="left")
        if stage.survey is not None:
            for note in stage.survey.notes:
                output().print(Text(note), soft_wrap=True)
        for runs in stage.shown:
            output().print(_coloured(runs), soft_wrap=True)
            output().print()
        if stage.survey is not None and stage.survey.sizes:
            output().print(_lengths(stage))
        if stage.plan is not None:
            output().print(Text(forecast_text(stage)), soft_wrap=True)
        _print_findings(stage.findings, False)


def _coloured(runs: Sequence[Run]) -> Text:
    """Words that are taught in bold green, given ones dim, visual tokens as their number."""
    text = Text()
    for run in runs:
        shown = f"[{run.tokens} visual]" if run.kind == "visual" else run.text
        text.append(shown, style=STYLES[run.kind])
    return text


def _lengths(stage: StageReport) -> Table:
    table = Table(title="tokens per row", title_justify="left")
    for name in ("", "min", "mean", "max", "histogram from min to max"):
        table.add_column(name, justify="left" if name in ("", BARS) else "right")
    assert stage.survey is not None
    sizes = stage.survey.sizes
    for name, values in (
        ("text", [size.tokens - size.visual_tokens for size in sizes]),
        ("visual", [size.visual_tokens + size.memory_tokens for size in sizes]),
        ("taught", [size.target_tokens for size in sizes]),
        ("whole", [size.tokens for size in sizes]),
    ):
        low, high = min(values), max(values)
        mean = sum(values) / len(values)
        table.add_row(name, str(low), f"{mean:.0f}", str(high), histogram(values))
    return table


def histogram(values: Sequence[int]) -> str:
    """Bars of equal steps from the least to the most."""
    counts, _ = np.histogram(values, bins=BINS)
    most = max(counts.max(), 1)
    return "".join(BARS[int(np.ceil(8 * count / most))] for count in counts)


def forecast_text(stage: StageReport) -> str:
    """Memory, time and cost in one sentence."""
    plan = stage.plan
    assert plan is not None
    memory = plan.memory
    money = f" at a cost of {plan.cost:,.0f}" if plan.cost else ""
    return (
        f"forecast on {plan.gpus} × {plan.hardware}: {plan.stage.samples:,} rows of "
        f"{plan.sample_tokens} tokens in {_hours(plan.hours)}{money}; "
        f"{show_bytes(memory.total)} on each device ({show_bytes(memory.weights)} weights, "
        f"{show_bytes(memory.optimizer)} optimiser, {show_bytes(memory.activations)} activations)"
    )


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _plain(report: RecipeReport) -> dict[str, Any]:
    return {
        "healthy": report.healthy,
        "findings": [asdict(finding) for finding in report.findings],
        "stages": [
            {
                "name": stage.name,
                "findings": [asdict(finding) for finding in stage.findings],
                "rows": None if stage.survey is None else stage.survey.read,
                "bad_rows": None if stage.survey is None else len(stage.survey.bad),
                "shown": [[asdict(run) for run in runs] for runs in stage.shown],
                "forecast": None if stage.plan is None else stage.plan.model_dump(mode="json"),
            }
            for stage in report.stages
        ],
    }
