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
from sightline.eval.tasks.rows import RowsTask
from sightline.eval.tasks.scenes import ScenesTask
from sightline.eval.tasks.task import Item, Task

SCENES = 500  # questions where --count does not say


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """What the command line was given."""

    model: str
    task: str
    media: str | None
    count: int | None
    seed: int
    controls: bool
    batch: int
    max_tokens: int
    out: Path | None
    fail_under: float | None
    as_json: bool


def eval_command(options: EvalOptions) -> None:
    """Score, print the report, save it if asked; exit code 1 below --fail-under."""
    if options.count is not None and options.count < 2:
        raise DataError("count", f"{options.count} is too few", "use at least 2")
    if options.batch < 1:
        raise DataError("batch", f"is {options.batch}", "use at least 1")
    if options.out is not None:
        writable(options.out)
    task, items = _asked(options)
    outcomes = _outcomes(options, task, items)
    made = report(task.name, outcomes)
    if options.as_json:
        output().print_json(json.dumps(made.as_dict()))
    else:
        output().print(_table(made))
        output().print(made.sentence)
    if options.out is not None:
        save(options.out, made, outcomes)
    if options.fail_under is not None and 100 * made.overall["full"].mean < options.fail_under:
        raise typer.Exit(1)


def _asked(options: EvalOptions) -> tuple[Task, Sequence[Item]]:
    """The task and its items, which are settled before a model is loaded."""
    if options.task != "scenes":
        if not (Path(options.task).suffix or Path(options.task).exists()):
            problem = f"{options.task!r} is unknown"
            raise DataError("task", problem, "use scenes, or the path of a file of questions")
        rows = RowsTask(options.task, options.media, options.seed)
        return rows, rows.items(options.count)
    if options.media is not None:
        raise DataError("media", "has no meaning for scenes", "leave it out")
    scenes = ScenesTask(seed=options.seed)
    return scenes, scenes.items(SCENES if options.count is None else options.count)


def _outcomes(
    options: EvalOptions, task: Task, items: Sequence[Item]
) -> dict[Control, list[Outcome]]:
    import sightline

    vlm = sightline.load(options.model)
    controls: tuple[Control, ...] = ("full", "blind", "swapped") if options.controls else ("full",)
    outcomes: dict[Control, list[Outcome]] = {}
    with Progress(console=messages(), transient=True) as bar:
        for control in controls:
            row = bar.add_task(control, total=len(items))
            outcomes[control] = run(
                vlm,
                task,
                items,
                control,
                batch=options.batch,
                max_tokens=options.max_tokens,
                progress=partial(bar.advance, row),
            )
    return outcomes


def _table(made: Report) -> Table:
    table = Table(title=f"{made.task}: score in %, 95 % interval")
    table.add_column("kind")
    table.add_column("items", justify="right")
    for control in made.overall:
        table.add_column(control, justify="right")
    for kind in made.by_kind["full"]:
        table.add_row(kind, *_row({c: rows[kind] for c, rows in made.by_kind.items()}))
    table.add_section()
    if made.closed and made.closed != made.overall:
        table.add_row("one-word answers", *_row(made.closed))
    table.add_row("all", *_row(made.overall))
    table.caption = f"majority answer per template: {100 * made.majority:.1f}"
    return table


def _row(figures: Mapping[Control, Figure]) -> tuple[str, ...]:
    return str(figures["full"].count), *(_text(figure) for figure in figures.values())


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
