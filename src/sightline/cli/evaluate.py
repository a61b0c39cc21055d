"""`sightline eval`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import typer
from rich.progress import Progress
from rich.table import Table

from sightline.cli.folders import writable
from sightline.core.errors import DataError
from sightline.core.log import messages, output
from sightline.eval.controls import Control
from sightline.eval.report import Figure, Report, report
from sightline.eval.run import Outcome, run
from sightline.eval.tasks.scenes import ScenesTask


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """What the command line was given."""

    model: str
    task: str
    count: int
    seed: int
    controls: bool
    batch: int
    out: Path | None
    fail_under: float | None
    as_json: bool


def eval_command(options: EvalOptions) -> None:
    """Score, print the report, save it if asked; exit code 1 below --fail-under."""
    if options.task != "scenes":
        raise DataError("task", f"{options.task!r} is unknown", "use scenes")
    if options.count < 2:
        raise DataError("count", f"{options.count} is too few", "use at least 2")
    if options.batch < 1:
        raise DataError("batch", f"is {options.batch}", "use at least 1")
    if options.out is not None:
        writable(options.out)
    outcomes = _outcomes(options)
    made = report(options.task, outcomes)
    if options.as_json:
        output().print_json(json.dumps(made.as_dict()))
    else:
        output().print(_table(made))
        output().print(made.sentence)
    if options.out is not None:
        save(options.out, made, outcomes)
    if options.fail_under is not None and 100 * made.overall["full"].mean < options.fail_under:
        raise typer.Exit(1)


def _outcomes(options: EvalOptions) -> dict[Control, list[Outcome]]:
    import sightline

    vlm = sightline.load(options.model)
    task = ScenesTask(seed=options.seed)
    items = task.items(options.count)
    controls: tuple[Control, ...] = ("full", "blind", "swapped") if options.controls else ("full",)
    outcomes: dict[Control, list[Outcome]] = {}
    with Progress(console=messages(), transient=True) as bar:
        for control in controls:
            row = bar.add_task(control, total=len(items))
            outcomes[control] = run(
                vlm, task, items, control, batch=options.batch, progress=partial(bar.advance, row)
            )
    return outcomes


def _table(made: Report) -> Table:
    table = Table(title=f"{made.task}: score in %, 95 % interval")
    table.add_column("kind")
    table.add_column("items", justify="right")
    for control in made.overall:
        table.add_column(control, justify="right")
    for kind, figure in made.by_kind["full"].items():
        table.add_row(
            kind, str(figure.count), *(_text(rows[kind]) for rows in made.by_kind.values())
        )
    table.add_section()
    for name, row in (("one-word answers", made.closed), ("all", made.overall)):
        if row:
            table.add_row(name, str(row["full"].count), *(_text(f) for f in row.values()))
    table.caption = f"majority answer per template: {100 * made.majority:.1f}"
    return table


def _text(figure: Figure) -> str:
    return f"{100 * figure.mean:.1f}  [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def save(folder: Path, made: Report, outcomes: Mapping[Control, Sequence[Outcome]]) -> None:
    """report.json, and items.jsonl with every answer under every control."""
    (folder / "report.json").write_text(json.dumps(made.as_dict(), indent=2) + "\n")
    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for control, rows in outcomes.items():
            file.writelines(json.dumps(_line(control, row)) + "\n" for row in rows)


def _line(control: Control, outcome: Outcome) -> dict[str, object]:
    item, reply = outcome.item, outcome.reply
    return {
        "control": control,
        "key": item.key,
        "kind": item.kind,
        "template": item.group,
        "question": item.question,
        "answer": item.answer,
        "boxes": [asdict(box) for box in item.boxes],
        "said": reply.text,
        "said_boxes": [asdict(box) for box in reply.boxes],
        "score": outcome.score,
    }
