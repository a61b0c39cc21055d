"""`sightline eval`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import typer
from rich.table import Table as RichTable
from rich.text import Text

from sightline.cli.asking import AskOptions, ask, save_timings, unique_slugs
from sightline.cli.folders import writable
from sightline.cli.models_asked import Model, check_used
from sightline.cli.tasks import is_pair, matching_tasks, tasks_named
from sightline.core.errors import DataError, RemoteError, SightlineError
from sightline.core.log import messages, output
from sightline.eval.report import Report, as_json, report, write_report
from sightline.eval.report.tables import Table, asked_table, identity_table, tables
from sightline.eval.statistics import Figure, figure
from sightline.eval.tasks.task import Task


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """What the command line was given."""

    model: str
    tasks: Sequence[str]
    asking: AskOptions
    out: Path | None
    fail_under: float | None
    as_json: bool


def eval_command(options: EvalOptions) -> None:
    """Score, print the reports, save them if asked; exit code 1 where a task has no answer, or a
    headline figure is worse than --fail-under. With several tasks, one that cannot be asked is
    told of and the others go on."""
    model = options.asking.model(options.model)
    check_used([model], options.asking.remote)
    if options.out is not None:
        writable(options.out)
    if model.remote is None and is_pair(model.name):
        return _eval_pair(model, options)
    tasks = tasks_named(options.tasks, options.asking.media, options.asking.seed)
    folders = _folders(options.out, [task.name for task in tasks])
    failed = False
    made: list[Report] = []
    for task, folder in zip(tasks, folders, strict=True):
        try:
            made.append(_evaluated(model, task, options.asking, folder))
        except RemoteError:
            raise  # it would meet every task
        except SightlineError as error:
            if len(tasks) == 1:
                raise
            messages().print(Text(f"error: {error}"), soft_wrap=True)
            failed = True
            continue
        if not options.as_json:
            show(made[-1])
        failed |= _falls_short(made[-1], options.fail_under)
    if options.as_json:
        found = [json.loads(as_json(one)) for one in made]
        output().print_json(json.dumps(found[0] if len(tasks) == 1 else found))
    if failed:
        raise typer.Exit(1)


def _evaluated(model: Model, task: Task, asking: AskOptions, folder: Path | None) -> Report:
    ran = ask(model, task, asking, folder)
    _tell_times(ran.timings.get("ttft_ms", ()))
    if folder is None:
        return report(ran.result)
    save_timings(folder, ran.timings)
    return write_report(folder, ran.result)


def _tell_times(ttft_ms: Sequence[float]) -> None:
    """On standard error: it is different each time."""
    if ttft_ms:
        middle, longest = statistics.median(ttft_ms), max(ttft_ms)
        told = f"median {middle:.0f} ms, at most {longest:.0f}, of {len(ttft_ms)} asked alone"
        messages().print(f"first token: {told}")


def _folders(out: Path | None, names: Sequence[str]) -> list[Path | None]:
    """A folder a task: the one that was given, or with several tasks one of each within it."""
    if out is None or len(names) == 1:
        return [out] * len(names)
    return [writable(out / name) for name in unique_slugs(names)]


def show(made: Report) -> None:
    """Tables, what else has to be known, and the sentence."""
    console = output()
    console.print(Text(f"{made.task}: {made.metric}", style="bold"))
    for table in _shown(made):
        console.print(rich_table(table))
    for note in made.notes:
        console.print(Text(note), soft_wrap=True)
    console.print(Text(made.sentence), soft_wrap=True)


def _shown(made: Report) -> list[Table]:
    """The tables of a report, less those that say nothing new on a terminal: who was asked, and
    that every question has an answer."""
    quiet = not any(a.failed or a.left_out or a.truncated or a.retried for a in made.asked.values())
    left_out = {identity_table(made), asked_table(made) if quiet else None}
    return [table for table in tables(made) if table not in left_out]


def rich_table(table: Table) -> RichTable:
    """A table for the terminal; what is in it is never markup."""
    drawn = RichTable(title=Text(table.title), caption=Text(table.caption))
    for number, name in enumerate(table.head):
        drawn.add_column(Text(name), justify="right" if number and not table.words else "left")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn


def _falls_short(made: Report, limit: float | None) -> bool:
    """Whether a limit is missed, or cannot be judged since a question has no answer."""
    if limit is None:
        return False
    lost = made.asked["full"].items - made.asked["full"].judged
    if lost:
        messages().print(f"--fail-under: {lost} questions of {made.task} have no answer")
    return bool(lost) or made.headline is None or is_worse(made.headline, limit)


def is_worse(figure: Figure, limit: float) -> bool:
    """Whether a figure, in the units in which it is shown, is worse than the limit. NaN is."""
    value = round(100 * figure.value if figure.percent else figure.value, 6)
    return not (value <= limit if figure.higher_is_better is False else value >= limit)


def _eval_pair(model: Model, options: EvalOptions) -> None:
    import sightline

    tasks = matching_tasks(options.tasks)
    asking = options.asking
    _refuse_unused(asking)
    matcher = sightline.load_pair(model.name, device=asking.device, dtype=asking.dtype)
    found: list[dict[str, Any]] = []
    failed = False
    for task, folder in zip(tasks, _folders(options.out, [t.name for t in tasks]), strict=True):
        figures = [figure(tally) for tally in task.tallies(matcher)]
        failed |= options.fail_under is not None and is_worse(figures[0], options.fail_under)
        plain = {
            "task": task.name,
            "model": model.called,
            "figures": list(map(asdict, figures)),
        }
        found.append(plain)
        if folder is not None:
            (folder / "report.json").write_text(json.dumps(plain, indent=2) + "\n")
        if not options.as_json:
            output().print(rich_table(_pair_table(task.name, figures)))
    if options.as_json:
        output().print_json(json.dumps(found[0] if len(found) == 1 else found))
    if failed:
        raise typer.Exit(1)


def _refuse_unused(asking: AskOptions) -> None:
    """A pair is asked everything at once: of the options only --device and --dtype are its own."""
    usual = replace(AskOptions(), device=asking.device, dtype=asking.dtype)
    for field in fields(asking):
        if getattr(asking, field.name) != getattr(usual, field.name):
            problem = "says nothing to a pair of towers, which sees all pictures and classes"
            raise DataError(field.name, problem, "leave it out")


def _pair_table(title: str, figures: Sequence[Figure]) -> Table:
    from sightline.eval.report.words import figure_in_words

    rows = tuple((one.name, f"{one.count:,}", figure_in_words(one)) for one in figures)
    caption = "In per cent; in brackets the 95 % interval: a bootstrap over the pictures."
    return Table(title, caption, ("figure", "items", "value"), rows)
